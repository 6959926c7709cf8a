"""What lets a study run while nobody looks: errands around it, a heartbeat, a log, notices."""

from tuner.unattended.attended import Attended
from tuner.unattended.errands import Errands
from tuner.unattended.notices import Channels, Notice, Notifier
from tuner.unattended.pulse import DONE, FAILED, INTERRUPTED, Heart, Pulse, read_pulse
from tuner.unattended.trial_log import TrialLog

__all__ = [
    "DONE",
    "FAILED",
    "INTERRUPTED",
    "Attended",
    "Channels",
    "Errands",
    "Heart",
    "Notice",
    "Notifier",
    "Pulse",
    "TrialLog",
    "read_pulse",
]
