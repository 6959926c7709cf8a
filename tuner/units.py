"""Numbers as people read them. SI inside the program; formatted only at the edge, here."""

from __future__ import annotations

import re

_BINARY = ("B", "KiB", "MiB", "GiB", "TiB")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)


def parse_bytes(text: str) -> int | None:
    """'1.5G' -> 1610612736, in powers of 1024; None for what is not a size."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        return None
    return int(float(found.group(1)) * 1024 ** " KMGT".index(found.group(2).upper() or " "))


def format_bytes(size_bytes: float) -> str:
    """1536 -> '1.5 KiB'."""
    value = float(size_bytes)
    for unit in _BINARY:
        if abs(value) < 1024 or unit == _BINARY[-1]:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")


def format_duration(duration_s: float) -> str:
    """0.0123 -> '12.3 ms', 75 -> '1 min 15 s', 4000 -> '1 h 06 min'."""
    if duration_s < 0:
        return "-" + format_duration(-duration_s)
    if duration_s < 1:
        return f"{duration_s * 1e3:.3g} ms"
    if duration_s < 60:
        return f"{duration_s:.3g} s"
    minutes, seconds = divmod(round(duration_s), 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def format_figure(value: float, unit: str) -> str:
    """A figure with the unit that its name carries: 's' becomes a duration, '1' a bare number,
    'share' a percentage."""
    match unit:
        case "s":
            return format_duration(value)
        case "bytes":
            return format_bytes(value)
        case "tok/s" | "req/s":
            return f"{value:,.1f} {unit}"
        case "1":
            return f"{value:.4g}"
        case "share":
            return format_percent(value)
        case "J":
            return f"{value:.3g} J"
        case "C":
            return f"{value:.0f} °C"
        case _:
            return f"{value:.4g} {unit}"


def format_percent(ratio: float, *, signed: bool = False) -> str:
    """0.0523 -> '5.2 %'; with a sign for differences."""
    return f"{ratio * 100:+.1f} %" if signed else f"{ratio * 100:.1f} %"
