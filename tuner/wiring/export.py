"""From a study's records to an exported folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tuner import __version__
from tuner.build import base_images, cmake_words, find_engine, shipped_file, shipped_recipe
from tuner.config import DockerBuild, PrebuiltBuild, StudyFile
from tuner.errors import HostError, NameUnknown, SourceInvalid, UserError
from tuner.export import Deployment, check_folder, write_folder
from tuner.model import SourceTree
from tuner.source import PathSource
from tuner.stats import Comparison
from tuner.storage import StudyFolder, StudyStore, TrialRecord, to_json
from tuner.study import Outcome, Summary, is_proven, standing_sentence, summarize
from tuner.trial.runner import ProgressSink
from tuner.wiring.exchanging import Fetch, fetch_with, open_exchange
from tuner.wiring.locations import Locations
from tuner.wiring.pinning import fetch_pinned
from tuner.wiring.portable import measure_portable, portable_config
from tuner.wiring.reading import stored_study


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written."""

    deployment: Deployment
    files: tuple[str, ...]
    outcome: Outcome
    """What the study has shown as a whole."""
    proven: bool
    """Whether this very configuration is proven better than the baseline to keep."""
    portable: Mapping[str, Comparison]
    """The portable build against the winner's own, by objective; empty unless asked for and different."""


def export_study(
    name: str,
    locations: Locations,
    out: Path,
    *,
    trial: int | None = None,
    portable: bool = False,
    launches: int = 2,
    on_progress: ProgressSink = lambda _: None,
) -> Exported:
    """Write what deploys the answer of a study, or one of its trials.

    Without a proven gain the answer is a baseline: that is what is written then, and it says so.
    `portable`: without GGML_NATIVE; what that costs is measured, with `launches` launches of each.
    Raises NameUnknown, UserError, StorageUnavailable, HostError, and what fetching the source raises.
    """
    store = StudyStore.open(locations.open_storage(), locations.storage_url, name)
    folder = StudyFolder(locations.state_dir, name).path
    fetch = fetch_with(open_exchange(name, locations))
    study = stored_study(name, locations)
    summary = summarize(store)
    record = _record(store, summary, trial)
    standing, proven = standing_sentence(summary, record), is_proven(summary, record)
    deployment = _deployment(study, store, record, locations)
    compared: Mapping[str, Comparison] = {}
    if portable and deployment.native:
        check_folder(out)
        compared = measure_portable(
            study, store, record, locations, launches=launches, on_progress=on_progress
        )
        record = replace(record, config=portable_config(record.config))
        deployment = _deployment(study, store, record, locations)
        proven = False
        standing += " That is of the build for this CPU model: `portable_against_measured` compares."
    deployment = replace(deployment, standing=standing)
    dockerfile = f"Dockerfile.llama-{'gpu' if deployment.gpu else 'cpu'}"
    files = write_folder(
        out,
        deployment,
        shipped=shipped_file(dockerfile).read_text(),
        ignore=shipped_file(f"{dockerfile}.dockerignore").read_text(),
        provenance={
            **_provenance(study, store, summary, record, folder, fetch),
            "standing": standing,
            "proven_gain": proven,
            "portable_against_measured": {figure: asdict(found) for figure, found in compared.items()},
        },
    )
    return Exported(
        deployment=deployment, files=files, outcome=summary.outcome, proven=proven, portable=compared
    )


def _record(store: StudyStore, summary: Summary, trial: int | None) -> TrialRecord:
    if trial is None:
        if summary.best is None:
            raise UserError(
                f"study {store.name!r} has no single best configuration: name a trial with --trial "
                f"(`tuner study trials {store.name}`)"
            )
        record = summary.best
    else:
        found = [record for record in store.trials() if record.number == trial]
        if not found:
            raise NameUnknown(
                f"study {store.name!r} has no trial {trial} (`tuner study trials {store.name}`)"
            )
        record = found[0]
    if not record.deploy_command:
        # A configuration that shares a measurement was not launched itself.
        for other in (*store.baselines().values(), *store.trials()):
            if other.label == record.reused_from and other.deploy_command:
                return other
        raise UserError(
            f"{record.label} was never launched ({record.state.value}): there is nothing to deploy"
        )
    return record


def _deployment(study: StudyFile, store: StudyStore, record: TrialRecord, locations: Locations) -> Deployment:
    words = _server_words(record)
    model = Path(words[words.index("--model") + 1]).name
    bare = Deployment(
        study=study.name,
        label=record.label,
        model_file=model,
        words=_without(words, "--model", "--host", "--port"),
        environment={
            name: "1" if value is True else str(value)
            for name, value in record.config.env.items()
            if value is not False
        },
    )
    build, source = study.build, store.source
    if isinstance(build, PrebuiltBuild) or source is None:
        return bare
    flags = record.config.build
    if isinstance(build, DockerBuild):
        gpu = build.is_gpu
        flags = shipped_recipe(gpu=gpu).options.merged(flags)
    else:
        gpu = DockerBuild(backend="docker", flags=dict(flags)).is_gpu
        # What cmake would take anyway is said, because an image is built elsewhere.
        flags = flags if "GGML_NATIVE" in flags else flags.merged({"GGML_NATIVE": True})
    images = build if isinstance(build, DockerBuild) else None
    bases = _bases(images, gpu=gpu)
    tree = _tree(study, store, locations)
    return replace(
        bare,
        origin=source.origin,
        content_hash=source.content_hash,
        subdir=study.source.subdir if study.source is not None else ".",
        cmake_flags=cmake_words(flags, tree, cuda=gpu),
        gpu=gpu,
        reads_presets=_reads_presets(tree),
        build_image=bases.get("BUILD_IMAGE"),
        runtime_image=bases.get("RUNTIME_IMAGE"),
        build_packages=_words(images.build_packages) if images else None,
        runtime_packages=_words(images.runtime_packages) if images else None,
    )


def _bases(build: DockerBuild | None, *, gpu: bool) -> Mapping[str, str]:
    """The base images that a study was measured on, by digest where the engine knows it.

    Without those that are as the Dockerfile says anyway; a study that built on the host measured none.
    """
    if build is None:
        return {}
    text = shipped_file(f"Dockerfile.llama-{'gpu' if gpu else 'cpu'}").read_text()
    chosen = {"BUILD_IMAGE": build.build_image, "RUNTIME_IMAGE": build.runtime_image}
    defaults = base_images(text)
    named = {name: chosen.get(name) or default for name, default in defaults.items()}
    with suppress(HostError):  # an export needs no engine
        engine = find_engine()
        named = {name: engine.pinned(reference) for name, reference in named.items()}
    return {name: reference for name, reference in named.items() if reference != defaults[name]}


def _tree(study: StudyFile, store: StudyStore, locations: Locations) -> SourceTree:
    """The study's own tree: a folder's path is absolute in its pin, whatever the study file says."""
    pin = store.source
    if pin is not None and pin.origin.startswith("path:"):
        tree = PathSource(Path(pin.origin.removeprefix("path:")), "").fetch()
        if tree.content_hash != pin.content_hash:
            raise SourceInvalid(
                f"{tree.origin} has changed since study {store.name!r} measured it: bring it back to export"
            )
        return tree
    return fetch_pinned(study, locations, store)


def _reads_presets(tree: SourceTree) -> bool:
    """The source is asked: a version of llama-server has the argument or has not."""
    try:
        return b"--models-preset" in (tree.root / "common" / "arg.cpp").read_bytes()
    except OSError:
        return False


def _server_words(record: TrialRecord) -> tuple[str, ...]:
    """llama-server's arguments in a deployable command, be it a program's or a container's."""
    words = record.deploy_command
    if words[:2] != ("docker", "run"):
        return words[1:]
    entrypoint = next(index for index, word in enumerate(words) if word.startswith("--entrypoint="))
    return words[entrypoint + 2 :]


def _without(words: tuple[str, ...], *names: str) -> tuple[str, ...]:
    """Without these arguments and their values."""
    kept, skip = [], False
    for word in words:
        if not skip and word not in names:
            kept.append(word)
        skip = not skip and word in names
    return tuple(kept)


def _words(packages: tuple[str, ...] | None) -> str | None:
    return None if packages is None else " ".join(packages)


def _provenance(
    study: StudyFile, store: StudyStore, summary: Summary, record: TrialRecord, folder: Path, fetch: Fetch
) -> dict[str, Any]:
    fetch([record])  # another host may have measured it
    try:
        versions = json.loads((folder / record.folder / "versions.json").read_text())
    except (OSError, ValueError):
        versions = {}
    source = store.source
    return {
        "tuner": __version__,
        "study": study.name,
        "study_file": store.file_text,
        "study_hash": study.content_hash,
        "source": {"origin": source.origin, "content_hash": source.content_hash} if source else None,
        "trial": to_json(record),
        "versions": versions,
        "outcome": summary.outcome.value,
        "noise_floors": dict(summary.floors),
        "keep": summary.keep,
        "launches_afresh": [
            {
                "finalist": finalist.record.label,
                "exported": finalist.record.identity == record.identity,
                "figure": found.objective.figure,
                "against": found.against,
                "ratio": found.comparison.ratio,
                "low": found.comparison.low,
                "high": found.comparison.high,
                "verdict": found.comparison.verdict,
                "baseline": list(found.baseline),
                "challenger": list(found.challenger),
            }
            for finalist in summary.finalists
            for found in finalist.confirmations
        ],
    }
