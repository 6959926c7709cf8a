"""What lets a study run while nobody looks: errands around it, a heartbeat, a log, notices, a service."""

from tuner.unattended.attended import Attended
from tuner.unattended.errands import Errands
from tuner.unattended.notices import Channels, Notice, Notifier
from tuner.unattended.pulse import DONE, FAILED, INTERRUPTED, Heart, Pulse, read_pulses
from tuner.unattended.trial_log import TrialLog
from tuner.unattended.unit import MARK, Service, environment_text, unit_text

__all__ = [
    "DONE",
    "FAILED",
    "INTERRUPTED",
    "MARK",
    "Attended",
    "Channels",
    "Errands",
    "Heart",
    "Notice",
    "Notifier",
    "Pulse",
    "Service",
    "TrialLog",
    "environment_text",
    "read_pulses",
    "unit_text",
]
