"""Can I repeat it?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from tuner.report.material import Material
from tuner.report.parts import Bullets, Code, Missing, Part, Section, Table, Text
from tuner.units import format_bytes

_BYTES = ("memory_bytes", "model_bytes")


def repeat(material: Material) -> Section:
    """Host, GPU, driver, versions, hashes, and the study file."""
    return Section(key="repeat", title="Can I repeat it?", parts=tuple(_parts(material)))


def _parts(material: Material) -> Iterator[Part]:
    study = material.study
    yield Text(
        "With the study file below, on such a host: tuner study run FILE. The raw samples of every "
        "launch are in "
        f"{study.folder}."
    )
    launched = [launch for one in material.contenders for launch in one.launches]
    facts: dict[str, list[str]] = {}
    for launch in launched:
        for name, value in study.versions_of(launch).items():
            text = format_bytes(int(value)) if name in _BYTES and value.isdigit() else value
            seen = facts.setdefault(name, [])
            if text not in seen:
                seen.append(text)
    if facts:
        yield Table(
            caption="Host and versions of the launches that the answer is between",
            columns=("what", "value"),
            rows=tuple((name, "; ".join(values)) for name, values in facts.items()),
        )
        changed = [name for name, values in facts.items() if len(values) > 1]
        if changed:
            yield Text(f"Not the same in all launches: {', '.join(changed)}.")
    else:
        yield Missing("no launch has left its versions: nothing was measured, or the folders are gone")
    source = study.store.source
    hashes = [f"study file: {study.content_hash}"] if study.content_hash else []
    if source is not None:
        hashes.append(f"source: {source.origin}, content {source.content_hash}")
    else:
        hashes.append("source: none is pinned (nothing is compiled, or nothing was measured)")
    best = study.summary.best
    if best is not None:
        own = material.measured(best)
        hashes += [
            f"program of {best.label}: {own.build_key or 'unknown'}",
            f"configuration: {best.identity}",
        ]
    yield Bullets(tuple(hashes))
    if best is not None and (command := material.measured(best).command):
        yield Code(f"What was run as {best.label}, with what only measuring needs", shlex.join(command), True)
    yield Code("The study file, as the study began with it", study.file_text.strip("\n"), True)
