"""A running or finished study in optuna-dashboard: to look at, not to change."""

from tuner.dashboard.server import DashboardServer
from tuner.dashboard.trial_files import TrialFiles
from tuner.dashboard.view import StudyView

__all__ = ["DashboardServer", "StudyView", "TrialFiles"]
