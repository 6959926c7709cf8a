"""What a llama-server says of itself."""

from __future__ import annotations

import re
from pathlib import Path

from tuner.errors import BinaryInvalid, ToolMissing
from tuner.process import ProcessTimeout, base_environment, capture

_VERSION = re.compile(r"^version: .+$", re.MULTILINE)
_LIBRARY = re.compile(r"error while loading shared libraries: ([^:\n]+)")


def server_version(binary: Path) -> str:
    """The first line of `--version`: 'version: 0.5.0-dev (build 1, commit 0c1e570)'.

    Raises BinaryInvalid when it does not run or is something else.
    """
    code, said = _ask(binary, "--version")
    match = _VERSION.search(said)
    if code == 0 and match is not None:
        return match[0].strip()
    if (library := _LIBRARY.search(said)) is not None:
        raise BinaryInvalid(
            f"{binary} lacks {library[1]}: put the library where the loader finds it (LD_LIBRARY_PATH), "
            "or build with BUILD_SHARED_LIBS=OFF"
        )
    if code == 132:
        raise BinaryInvalid(f"{binary} was built for another CPU: it dies of an illegal instruction here")
    first = said.strip().splitlines()[0][:200] if said.strip() else "it said nothing"
    raise BinaryInvalid(f"{binary} is not a llama-server: --version exits with {code} and says: {first}")


def check_is_server(binary: Path) -> None:
    """Raise BinaryInvalid for llama.cpp's other programs: they have a version, too, but no `--metrics`."""
    code, said = _ask(binary, "--help")
    if code != 0 or "--metrics" not in said:
        raise BinaryInvalid(f"{binary} is not a llama-server: its --help does not know --metrics")


def _ask(binary: Path, word: str) -> tuple[int, str]:
    try:
        answer = capture([binary, word], env=base_environment(), timeout_s=60)
    except ToolMissing as error:
        raise BinaryInvalid(f"{error}: is it a llama-server for this machine?") from error
    except ProcessTimeout as error:
        raise BinaryInvalid(f"{binary} is not a llama-server: {word} gives no answer in 60 s") from error
    return answer.exit_code, f"{answer.stdout}\n{answer.stderr}"
