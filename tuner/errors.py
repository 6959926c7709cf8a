"""Every error that tuner raises, as one tree.

    TunerError                                   exit 70   an error of ours
    ├── UserError                                exit 2    the user's mistake
    │   ├── StudyFileError                                 the study file: names file, line and key
    │   ├── StudyChanged                                   the file is not the one the study began with
    │   ├── NameUnknown                                    no such study, trial, flag, argument, figure
    │   ├── SourceInvalid                                  not a llama.cpp tree, no such version or ref
    │   ├── ModelInvalid                                   missing, a directory, truncated, not a GGUF
    │   └── BinaryInvalid                                  not a llama-server, or one that does not run
    ├── HostError                                exit 3    this machine: stops the study
    │   ├── ToolMissing                                    no compiler, no git, no docker
    │   ├── EngineAway                                     nobody answers where the container engine was
    │   ├── DiskFull
    │   ├── StorageUnavailable                             the study's database
    │   ├── ArtifactsUnavailable                           the store of trial folders
    │   ├── Busy                                           another tuner holds the lock
    │   └── HardwareDiffers                                the study was measured on other hardware
    ├── TrialError                               exit 1    this configuration: recorded, the study goes on
    │   ├── BuildFailed
    │   ├── ArgumentRefused
    │   ├── LaunchFailed
    │   ├── LoadFailed
    │   └── QualityFailed
    └── Interrupted                              exit 130  the user stopped it; the study can be resumed

A TrialError carries a `reason`: a short stable code (`tuner.model.outcome.Reason` lists them) that ends
up in the trial's record. Messages say what happened, to what, and what to do next.
"""

from __future__ import annotations

from typing import ClassVar


class TunerError(Exception):
    """The root. `exit_code` is what `main` exits with when it gets this far."""

    exit_code: ClassVar[int] = 70


class UserError(TunerError):
    """Something that the user typed or wrote is wrong."""

    exit_code = 2


class StudyFileError(UserError):
    """The study file is wrong; `problems` holds one line for each mistake."""

    def __init__(self, path: str, problems: tuple[str, ...]) -> None:
        self.path = path
        self.problems = problems
        super().__init__("\n".join(problems))


class StudyChanged(UserError):
    """The study file differs from the one that the study began with."""


class NameUnknown(UserError):
    """A name that does not exist, with the nearest that does where there is one."""


class SourceInvalid(UserError):
    """The source is not a llama.cpp tree, or cannot be had at that version."""


class ModelInvalid(UserError):
    """The model is missing, not a file, truncated, or not a GGUF."""


class BinaryInvalid(UserError):
    """The binary is not a llama-server, or does not run on this host."""


class HostError(TunerError):
    """This machine cannot go on; trying another configuration would not help."""

    exit_code = 3


class ToolMissing(HostError):
    """A program or service that has to be on the host is not."""


class EngineAway(HostError):
    """The container engine does not answer: it is not running, is being restarted, or has just cut us off."""


class DiskFull(HostError):
    """No space left where tuner has to write."""


class StorageUnavailable(HostError):
    """The study's storage cannot be opened or written."""


class ArtifactsUnavailable(HostError):
    """The store that trial folders are shared through does not answer, or refuses."""


class Busy(HostError):
    """Another tuner process holds what this one needs."""


class HardwareDiffers(HostError):
    """The study's figures are of another kind of hardware, and could not be ranked with this host's."""


class TrialError(TunerError):
    """One configuration could not be measured; `reason` is the code that is recorded."""

    exit_code = 1

    def __init__(self, message: str, *, reason: str, log: str | None = None) -> None:
        self.reason = reason
        self.log = log
        super().__init__(message)


class BuildFailed(TrialError):
    """cmake or the compiler failed, or ran past its time limit."""


class ArgumentRefused(TrialError):
    """llama-server does not accept this argument or value."""


class LaunchFailed(TrialError):
    """The server exited, hung or misbehaved before it was ready."""


class LoadFailed(TrialError):
    """The server died, stalled or answered with errors under load."""


class QualityFailed(TrialError):
    """How far its answers are from the reference's could not be told."""


class Interrupted(TunerError):
    """The user asked for a stop; everything that was finished is kept."""

    exit_code = 130
