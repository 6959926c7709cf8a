"""A report's folder: the page, its figures and its tables.

DIR/
    report.html                the page; the rest is not needed for it
    figures/NAME.svg  .png     each figure as a file of its own
    tables/NAME.csv  .parquet  what they were drawn from, with units in the names of columns
    study.yaml                 the study file
    study.ipynb                reports/study.py run on this study, with the optional extra `notebook`
    report.json                what was written: a later report of the same study replaces it
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tuner.errors import HostError, UserError
from tuner.locking import raise_host_error, scratch_folder
from tuner.report.collecting import without_collections
from tuner.report.contents import sections_of
from tuner.report.drawing import Drawn, draw
from tuner.report.material import Material
from tuner.report.notebook import execute
from tuner.report.page import render
from tuner.report.parts import Picture, Section
from tuner.report.study import Study
from tuner.report.tables import write_table

PAGE = "report.html"
NOTEBOOK = "study.ipynb"
_MANIFEST = "report.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written."""

    folder: Path
    files: tuple[str, ...]
    """Relative to the folder, the page first."""
    no_notebook: str
    """Why there is no notebook; empty when there is one, or none was asked for."""


def write_report(
    study: Study, out: Path, *, version: str, made: str, notebook: Mapping[str, object] | None
) -> Written:
    """Write all of it into `out`, or nothing. `made`: when, for people. `notebook`: its parameters, or None.

    Raises UserError for a folder that holds anything but an earlier report of this study, and DiskFull,
    HostError.
    """
    earlier = _earlier(out, study.name)
    with without_collections(), ThreadPoolExecutor(max_workers=1) as beside:
        # It runs in a process of its own, so the page need not wait for it.
        running = beside.submit(_notebook, notebook)
        page, material, pictures = _page(study, version=version, made=made)
        text, why_not = running.result()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(out.parent) as scratch:
            files = [PAGE, *_figures(scratch, pictures), *_tables(scratch, material), "study.yaml"]
            if text:
                files.append(NOTEBOOK)
                (scratch / NOTEBOOK).write_text(text, encoding="utf-8")
            (scratch / PAGE).write_text(page, encoding="utf-8")
            (scratch / "study.yaml").write_text(study.file_text, encoding="utf-8")
            manifest = {"version": 1, "study": study.name, "tuner": version, "made": made, "files": files}
            (scratch / _MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
            _move(scratch, out, [*files, _MANIFEST], earlier)
    except OSError as error:
        raise_host_error(error, out)
    return Written(folder=out, files=(*files, _MANIFEST), no_notebook=why_not)


def _page(study: Study, *, version: str, made: str) -> tuple[str, Material, Mapping[str, Drawn]]:
    """The page, and what it was made of."""
    material = Material(study)
    sections = tuple(sections_of(material))
    pictures = _draw_all(sections)
    page = render(
        title=f"tuner: study {study.name}",
        subtitle=_subtitle(study),
        footer=f"Made by tuner {version}, {made}. Nothing in this page is fetched from anywhere.",
        sections=sections,
        pictures=pictures,
    )
    return page, material, pictures


def _notebook(parameters: Mapping[str, object] | None) -> tuple[str, str]:
    """(its text, why there is none). A report without its notebook is better than none."""
    if parameters is None:
        return "", ""
    try:
        return execute("study", parameters), ""
    except HostError as error:
        return "", str(error)


def _earlier(out: Path, name: str) -> tuple[str, ...]:
    """The files of an earlier report that is there."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return ()
    try:
        manifest = json.loads((out / _MANIFEST).read_text(encoding="utf-8"))
        known, files = manifest["study"], tuple(str(file) for file in manifest["files"])
    except (OSError, ValueError, KeyError, TypeError):
        known, files = None, ()
    if known != name:
        raise UserError(
            f"{out} is there and holds no report of study {name!r}: name a new folder, or the one of an "
            "earlier report"
        )
    return files


def _move(scratch: Path, out: Path, files: list[str], earlier: tuple[str, ...]) -> None:
    """Beside and renamed: whoever looks meanwhile sees whole files."""
    for file in files:
        (out / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(scratch / file, out / file)
    for file in set(earlier) - set(files):
        path = (out / file).resolve()
        if path.is_relative_to(out.resolve()):
            path.unlink(missing_ok=True)


def _draw_all(sections: tuple[Section, ...]) -> dict[str, Drawn]:
    pictures = (part for section in sections for part in section.parts if isinstance(part, Picture))
    return {picture.name: draw(picture) for picture in pictures}


def _figures(folder: Path, pictures: Mapping[str, Drawn]) -> list[str]:
    (folder / "figures").mkdir()
    files = []
    for name, drawn in pictures.items():
        files += [f"figures/{name}.svg", f"figures/{name}.png"]
        (folder / files[-2]).write_text(drawn.svg, encoding="utf-8")
        (folder / files[-1]).write_bytes(drawn.png)
    return files


def _tables(folder: Path, material: Material) -> list[str]:
    """Records in full; raw samples of the launches that the answer is between."""
    (folder / "tables").mkdir()
    study, samples = material.study, material.samples
    frames: dict[str, pd.DataFrame] = {
        "baselines": study.baselines,
        "trials": study.trials,
        "anchors": study.anchors,
        "confirmations": study.confirmations,
        "contenders-repetitions": samples.repetitions,
        "contenders-requests": samples.requests,
        "contenders-probes": samples.probes,
    }
    files = []
    for name, frame in frames.items():
        if not frame.empty:
            files += [f"tables/{file}" for file in write_table(frame, folder / "tables", name)]
    return files


def _subtitle(study: Study) -> str:
    ended = [record.ended for record in study.records if record.ended]
    when = f", last measured {max(ended)[:19].replace('T', ' ')} UTC" if ended else ""
    objectives = ", ".join(f"{o.direction.value} {o.figure}" for o in study.objectives)
    return f"{objectives}; {study.status.charged} trials{when}"
