"""What lets a study run while nobody looks: errands around it, a pulse, a log, notices, a service."""

from tuner.unattended.errands import Errands
from tuner.unattended.ledger import Ledger

__all__ = ["Errands", "Ledger"]
