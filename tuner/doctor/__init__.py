"""What this host can do, what is missing, and the remedy."""

from tuner.doctor.checks import CHECKS, run_checks
from tuner.doctor.finding import Finding, Status
from tuner.doctor.host import Host

__all__ = ["CHECKS", "Finding", "Host", "Status", "run_checks"]
