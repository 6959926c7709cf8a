"""From the study file's words to concrete sources, builders and models."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tuner.build import Builder, CachedBuilder, CMakeBuilder, PrebuiltBuilder, Toolchain
from tuner.build.base import ProgressListener
from tuner.config import CmakeBuild, GitSource, ModelPackage, PrebuiltBuild, SdistSource, StudyFile
from tuner.config import PathSource as PathSourceSpec
from tuner.model import Artifact, BuildPlan, Settings, SourceTree
from tuner.model.weights import ModelShape
from tuner.source import GitSource as GitTree
from tuner.source import PathSource as PathTree
from tuner.source import SdistSource as SdistTree
from tuner.source import Source, content_hash
from tuner.weights import fetch_package_model, inspect
from tuner.wiring.locations import Locations


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model file that was looked into."""

    path: Path
    shape: ModelShape


class Artifacts:
    """Builds by flags: the plan, then the cache, then the compiler."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder

    def plan(self, flags: Settings) -> BuildPlan:
        """What `flags` would compile. Raises BuildFailed, UserError, HostError."""
        return self._builder.plan(flags)

    def obtain(self, flags: Settings, log: Path, on_progress: ProgressListener) -> Artifact:
        """A llama-server built with `flags`; a link to it lands beside `log`.

        Raises BuildFailed, UserError, HostError.
        """
        return self._builder.build(self.plan(flags), log.parent, log, on_progress)


def make_artifacts(
    study: StudyFile, locations: Locations, tree: SourceTree | None, toolchain: Toolchain | None
) -> Artifacts:
    """The builder of the study file, behind the cache."""
    match study.build:
        case PrebuiltBuild(binary=binary):
            return Artifacts(PrebuiltBuilder(study.resolve(binary)))
        case CmakeBuild(jobs=jobs, timeout_minutes=timeout_minutes):
            assert tree is not None  # noqa: S101  load_study: cmake has a source
            assert toolchain is not None  # noqa: S101  found together with the tree
            builder = CMakeBuilder(
                tree,
                fixed=Settings(),
                toolchain=toolchain,
                folder=locations.builds,
                jobs=jobs,
                timeout_s=timeout_minutes * 60,
                # A fetched tree is pinned; one on disk may be edited while a study runs.
                source_hash=partial(content_hash, tree.root)
                if isinstance(study.source, PathSourceSpec)
                else None,
            )
            return Artifacts(CachedBuilder(builder, locations.builds, origin=tree.origin))


def find_model(study: StudyFile, locations: Locations) -> Model:
    """Raises UserError, ModelInvalid, HostError."""
    if isinstance(study.model, ModelPackage):
        path = fetch_package_model(study.model.package, locations.models)
    else:
        path = study.resolve(study.model.path)
    return Model(path=path, shape=inspect(path))


def make_source(study: StudyFile, locations: Locations) -> Source:
    """The source that the study file names; nothing is fetched yet."""
    match study.source:
        case SdistSource(sdist=requirement, subdir=subdir):
            return SdistTree(requirement, subdir, locations.sources)
        case GitSource(git=url, ref=ref, subdir=subdir):
            return GitTree(url, ref, subdir, locations.sources)
        case PathSourceSpec(path=path, subdir=subdir):
            return PathTree(study.resolve(path), subdir)
        case None:
            raise AssertionError("checked by load_study: cmake has a source")
