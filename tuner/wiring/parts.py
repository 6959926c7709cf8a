"""From the study file's words to concrete sources, builders and models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tuner.build import (
    SERVER,
    Builder,
    CachedBuilder,
    CMakeBuilder,
    DockerBuilder,
    SharedBuilder,
    Toolchain,
    find_engine,
    shipped_recipe,
)
from tuner.build.base import ProgressListener
from tuner.config import CmakeBuild, DockerBuild, GitSource, ModelPackage, SdistSource, StudyFile
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


def cmake_builder(
    study: StudyFile,
    build: CmakeBuild,
    locations: Locations,
    tree: SourceTree,
    toolchain: Toolchain,
    target: str = SERVER,
) -> CachedBuilder:
    """Compiles with this host's tools, behind the cache; `target` is the program."""
    builder: Builder = CMakeBuilder(
        tree,
        fixed=Settings(),
        toolchain=toolchain,
        folder=locations.builds,
        jobs=build.jobs,
        timeout_s=build.timeout_minutes * 60,
        source_hash=_hash_now(study, tree),
        target=target,
    )
    if (shared := locations.shared_builds) is not None:
        builder = SharedBuilder(builder, shared)
    origin = f"{tree.origin} ({target})" if target != SERVER else tree.origin
    return CachedBuilder(builder, locations.builds, origin=origin)


def docker_builder(
    study: StudyFile, build: DockerBuild, locations: Locations, tree: SourceTree
) -> DockerBuilder:
    """Compiles images. Raises ToolMissing, HostError when there is no engine to do it."""
    recipe = shipped_recipe(
        gpu=build.is_gpu,
        build_image=build.build_image,
        runtime_image=build.runtime_image,
        build_packages=_words(build.build_packages),
        runtime_packages=_words(build.runtime_packages),
    )
    return DockerBuilder(
        tree,
        recipe,
        engine=find_engine(),
        folder=locations.images,
        jobs=build.jobs,
        timeout_s=build.timeout_minutes * 60,
        source_hash=_hash_now(study, tree),
    )


def _words(packages: tuple[str, ...] | None) -> str | None:
    return None if packages is None else " ".join(packages)


def _hash_now(study: StudyFile, tree: SourceTree) -> Callable[[], str] | None:
    """A fetched tree is pinned; one on disk may be edited while a study runs."""
    return partial(content_hash, tree.root) if isinstance(study.source, PathSourceSpec) else None


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
