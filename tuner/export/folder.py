"""Writes an exported folder: whole, or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuner.errors import UserError
from tuner.export.deployment import Deployment
from tuner.export.files import build_script, compose_text, dockerfile_text, preset_text, run_script
from tuner.locking import raise_host_error, scratch_folder

_README = """# {label} of study {study}

{standing}Exported by tuner. `provenance.json` says what was measured, where and how.

- `sh build.sh` fetches the pinned source and builds the image `{image}`. `SOURCE=/path` takes a tree that
  is there; further arguments go to `docker build`.
- `MODELS=/folder docker compose up -d` serves `{model}` of that folder on 127.0.0.1:8004, from a hardened
  container.
- `LLAMA_SERVER=/path MODEL=/path/{model} sh run.sh` starts a llama-server of this host with the same
  settings.
- `llama-server --models-preset preset.ini` (if the file is here) offers them under the study's name.
{notes}"""
_NATIVE = """
It is bound to the CPU model that it was measured on: it was compiled with GGML_NATIVE. On another
CPU it may end with an illegal instruction. build.sh compiles it anew, so build where it is to run.
"""
_PREBUILT_README = """# {label} of study {study}

{standing}Exported by tuner. `provenance.json` says what was measured, where and how.

`LLAMA_SERVER=/path MODEL=/path/{model} sh run.sh` starts a llama-server with the settings of the study. It
measured a llama-server that was there already: use that one. There is no image to build.
"""


def check_folder(folder: Path) -> None:
    """Raises UserError for one that holds something."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there and not empty: name a new folder")


def write_folder(
    folder: Path, deployment: Deployment, *, shipped: str, ignore: str, provenance: Mapping[str, Any]
) -> tuple[str, ...]:
    """Write `folder`, which must be new or empty; the names of the files in it.

    `shipped` is the Dockerfile to start from, `ignore` what keeps files out of its context. Raises UserError
    for values that cannot be quoted and for a folder that holds something, DiskFull, HostError.
    """
    files = {"run.sh": run_script(deployment), "provenance.json": _json(provenance)}
    if (preset := preset_text(deployment)) is not None:
        files["preset.ini"] = preset
    if deployment.origin:
        files |= {
            "Dockerfile": dockerfile_text(shipped, deployment),
            "Dockerfile.dockerignore": ignore,
            "build.sh": build_script(deployment),
            "docker-compose.yaml": compose_text(deployment),
        }
    files["README.md"] = (_README if deployment.origin else _PREBUILT_README).format(
        label=deployment.label,
        standing=f"{deployment.standing}\n\n" if deployment.standing else "",
        study=deployment.study,
        image=deployment.image,
        model=deployment.model_file,
        notes=_NATIVE if deployment.native else "",
    )
    try:
        check_folder(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(folder.parent) as scratch:
            for name, text in files.items():
                (scratch / name).write_text(text)
                (scratch / name).chmod(0o755 if name.endswith(".sh") else 0o644)
            folder.mkdir(exist_ok=True)
            for name in files:
                shutil.move(scratch / name, folder / name)
    except OSError as error:
        raise_host_error(error, folder)
    return tuple(sorted(files))


def _json(provenance: Mapping[str, Any]) -> str:
    return json.dumps(provenance, indent=2, ensure_ascii=False) + "\n"
