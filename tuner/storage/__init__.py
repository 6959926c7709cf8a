"""What outlives a run: the Optuna storage and the trial folders."""

from tuner.storage.backend import default_url, mask_password, open_storage
from tuner.storage.folders import StudyFolder, write_atomically, write_trial
from tuner.storage.record import (
    RecordUnreadable,
    TrialRecord,
    config_from_json,
    config_to_json,
    dumps,
    from_json,
    loads,
    to_json,
)
from tuner.storage.study_store import SourcePin, StudyStore, StudySummary, delete_study, list_studies

__all__ = [
    "RecordUnreadable",
    "SourcePin",
    "StudyFolder",
    "StudyStore",
    "StudySummary",
    "TrialRecord",
    "config_from_json",
    "config_to_json",
    "default_url",
    "delete_study",
    "dumps",
    "from_json",
    "list_studies",
    "loads",
    "mask_password",
    "open_storage",
    "to_json",
    "write_atomically",
    "write_trial",
]
