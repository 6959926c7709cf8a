"""What outlives a run: the Optuna storage and the trial folders."""

from tuner.storage.artifacts import Artifacts, open_artifacts
from tuner.storage.backend import default_url, mask_password, open_storage, read_url
from tuner.storage.claims import Claim, Claims
from tuner.storage.drift import DriftWindow, mark_drifted
from tuner.storage.exchange import Exchange
from tuner.storage.excused import mark_excused
from tuner.storage.folders import StudyFolder, write_atomically, write_trial
from tuner.storage.heartbeat import Heartbeat
from tuner.storage.noise_floor import (
    Calibration,
    NoiseFloors,
    host_key,
    load_noise_floors,
    noise_floor,
    save_calibrations,
)
from tuner.storage.patience import PATIENCE_S, PatientStorage
from tuner.storage.record import (
    RecordUnreadable,
    TrialRecord,
    config_from_json,
    config_to_json,
    dumps,
    from_json,
    loads,
    outline,
    to_json,
)
from tuner.storage.retention import Retention
from tuner.storage.roster import BEAT_S, GONE_AFTER_S, Roster, Watch, Worker, has_ended, list_workers
from tuner.storage.studies import StudySummary, list_studies
from tuner.storage.study_parts import Outlined, Outside, ProofTerms, SourcePin
from tuner.storage.study_store import StudyStore, delete_study
from tuner.storage.tables import Tables

__all__ = [
    "BEAT_S",
    "GONE_AFTER_S",
    "PATIENCE_S",
    "Artifacts",
    "Calibration",
    "Claim",
    "Claims",
    "DriftWindow",
    "Exchange",
    "Heartbeat",
    "NoiseFloors",
    "Outlined",
    "Outside",
    "PatientStorage",
    "ProofTerms",
    "RecordUnreadable",
    "Retention",
    "Roster",
    "SourcePin",
    "StudyFolder",
    "StudyStore",
    "StudySummary",
    "Tables",
    "TrialRecord",
    "Watch",
    "Worker",
    "config_from_json",
    "config_to_json",
    "default_url",
    "delete_study",
    "dumps",
    "from_json",
    "has_ended",
    "host_key",
    "list_studies",
    "list_workers",
    "load_noise_floors",
    "loads",
    "mark_drifted",
    "mark_excused",
    "mask_password",
    "noise_floor",
    "open_artifacts",
    "open_storage",
    "outline",
    "read_url",
    "save_calibrations",
    "to_json",
    "write_atomically",
    "write_trial",
]
