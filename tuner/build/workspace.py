"""A configured build in a folder of its own, around which trees that write into themselves are copied."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tuner.build.configure import TARGET, Configured, configure, copy_source
from tuner.build.options import launcher_options
from tuner.build.toolchain import Toolchain
from tuner.locking import raise_host_error
from tuner.model import Settings, SourceTree


@dataclass(slots=True)
class Workspace:
    """Configures one source with one toolchain, without ever building inside the source.

    llama.cpp of 2024 generates `common/build-info.cpp` into its own tree while it compiles. The first
    configure shows that, and from then on such a tree is built from a private copy (33 MB, 0.2 s).
    """

    source: SourceTree
    toolchain: Toolchain
    target: str = TARGET
    _copied: bool = field(default=False, init=False)

    @contextmanager
    def configured(self, folder: Path, options: Settings, log: Path) -> Iterator[Configured]:
        """Configure below the empty `folder`; what is there is removed when the block ends.

        Raises BuildFailed (configure-failed), DiskFull, HostError.
        """
        here = folder.resolve()
        try:
            yield self._configure(here, options, log)
        except OSError as error:
            raise_host_error(error, folder)
        finally:
            shutil.rmtree(here / "build", ignore_errors=True)
            shutil.rmtree(here / "source", ignore_errors=True)

    def _configure(self, here: Path, options: Settings, log: Path) -> Configured:
        ccache = None if self.toolchain.ccache is None else self.toolchain.ccache.path
        launchers = launcher_options(ccache)
        while True:
            root = self.source.root.resolve()
            if self._copied:
                copy_source(root, here / "source")
                root = here / "source"
            found = configure(
                root,
                here / "build",
                options,
                self.toolchain,
                launchers=launchers,
                log=log,
                target=self.target,
            )
            if self._copied or not found.writes_into_source:
                return found
            self._copied = True
            shutil.rmtree(here / "build")
