"""What lets a study run while nobody looks: errands around it, a heartbeat, a log, notices, a service."""

from typing import TYPE_CHECKING

from tuner.lazily import lazily

if TYPE_CHECKING:
    from tuner.unattended.attended import Attended
    from tuner.unattended.errands import Errands
    from tuner.unattended.notices import Channels, Notice, Notifier
    from tuner.unattended.pulse import DONE, FAILED, INTERRUPTED, Heart, Pulse, read_pulses
    from tuner.unattended.trial_log import TrialLog
    from tuner.unattended.unit import MARK, Service, environment_text, unit_text
else:
    __getattr__ = lazily(
        __name__,
        {
            "Attended": "tuner.unattended.attended",
            "Channels": "tuner.unattended.notices",
            "DONE": "tuner.unattended.pulse",
            "Errands": "tuner.unattended.errands",
            "FAILED": "tuner.unattended.pulse",
            "Heart": "tuner.unattended.pulse",
            "INTERRUPTED": "tuner.unattended.pulse",
            "MARK": "tuner.unattended.unit",
            "Notice": "tuner.unattended.notices",
            "Notifier": "tuner.unattended.notices",
            "Pulse": "tuner.unattended.pulse",
            "Service": "tuner.unattended.unit",
            "TrialLog": "tuner.unattended.trial_log",
            "environment_text": "tuner.unattended.unit",
            "read_pulses": "tuner.unattended.pulse",
            "unit_text": "tuner.unattended.unit",
        },
    )

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
