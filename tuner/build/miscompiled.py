"""What a compiler is known to get wrong in llama.cpp, and the flags that keep it from doing so.

Until 12.4 and 13.3, GCC's `_tile_loadconfig` told the optimiser of 8 of the 64 bytes that it reads
(https://gcc.gnu.org/PR114098), so most of the configuration was never written: a llama-server compiled for a
CPU with AMX ends with SIGSEGV at its first matrix multiplication. The compiler's own header says whether it
does; without the macro, llama.cpp takes AVX-512 instead of AMX, or what else there is.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from tuner.process import ProcessTimeout, base_environment, capture

AMX_FLAG: Final = "-U__AMX_INT8__"

_PROBE: Final = "#include <immintrin.h>\n#ifdef __AMX_INT8__\ntuner_amx_is_compiled\n#endif\n"
_READS_8_BYTES: Final = '"m" (*((const void **)__config))'


def workaround_flags(compiler: Path) -> tuple[str, ...]:
    """Flags for `compiler` on this host's CPU; empty when nothing is known to be wrong."""
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder) / "probe.cpp"
        probe.write_text(_PROBE)
        try:
            seen = capture(
                [compiler, "-march=native", "-E", probe],
                env={**base_environment(), "LC_ALL": "C"},
                timeout_s=30,
            )
        except ProcessTimeout:
            return ()
    if "tuner_amx_is_compiled" in seen.stdout and _READS_8_BYTES in seen.stdout:
        return (AMX_FLAG,)
    return ()
