"""Pictures as SVG and PNG: the same for the same data, without scripts, fonts or addresses."""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import dataclass
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axis import Axis
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from tuner.report.palette import GRID, INK, MUTED, VARIABLES
from tuner.report.parts import Layout, Picture

_WIDE_INCHES: Final = 9.0
_NARROW_INCHES: Final = 4.3
_DPI: Final = 144
_STYLE: Final[dict[Any, Any]] = {
    # Names and log lines may hold dollar signs.
    "text.parse_math": False,
    "svg.fonttype": "none",
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.w_pad": 0.06,
}
_NO_METADATA: Final = {"Date": None, "Creator": None, "Format": None, "Type": None}
_PROLOGUE = re.compile(r"\A.*?(?=<svg)", re.DOTALL)
_SIZE = re.compile(r'(<svg\b[^>]*?) width="[^"]*"| height="[^"]*"')
_FONT = re.compile(r"font: ([^;\"]*?)px [^;\"]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One picture in all its forms."""

    picture: Picture
    svg: str
    """On white, a file of its own."""
    png: bytes
    wide: str
    """For a page, in the colours of its style sheet."""
    narrow: str


def draw(picture: Picture) -> Drawn:
    """All forms of `picture`."""
    with mpl.rc_context(_STYLE | {"svg.hashsalt": picture.name}), warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes in the PNG; the page has it in text.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        wide = _canvas(picture, Layout(narrow=False))
        svg = _svg(wide)
        png = io.BytesIO()
        wide.savefig(png, format="png", dpi=_DPI, metadata={"Software": None})
        small = _svg(_canvas(picture, Layout(narrow=True)))
    return Drawn(
        picture=picture,
        svg=svg,
        png=png.getvalue(),
        wide=_for_page(svg, f"{picture.name}-wide"),
        narrow=_for_page(small, f"{picture.name}-narrow"),
    )


def logarithmic(axis: Axis) -> None:
    """A scale whose ticks are plain numbers: 0.5, 1, 2, 5."""
    axis._set_axes_scale("log")  # type: ignore[attr-defined]  # as Axes.set_xscale does for either axis
    axis.set_major_formatter(FuncFormatter(_plain))
    axis.set_minor_formatter(NullFormatter())
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=8))


def _plain(value: float, _: object) -> str:
    return f"{value:g}"


def _canvas(picture: Picture, layout: Layout) -> Canvas:
    width = _NARROW_INCHES if layout.narrow else _WIDE_INCHES
    height = width * (picture.narrow_height if layout.narrow else picture.height)
    canvas = Canvas(figsize=(width, height), layout="constrained")
    picture.draw(canvas, layout)
    canvas.draw_without_rendering()
    # It has found its places: no need to look for them in every form.
    canvas.set_layout_engine(None)
    return canvas


def _svg(canvas: Canvas) -> str:
    text = io.StringIO()
    canvas.savefig(text, format="svg", dpi=_DPI, metadata=_NO_METADATA)
    return text.getvalue()


def _for_page(svg: str, prefix: str) -> str:
    """The bare element: ids of its own, as wide as there is room, in variable colours and the page's font."""
    svg = _PROLOGUE.sub("", svg).strip()
    svg = _SIZE.sub(lambda found: found.group(1) or "", svg, count=2)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = svg.replace('href="#', f'href="#{prefix}-').replace("url(#", f"url(#{prefix}-")
    svg = svg.replace("fill: #ffffff", "fill: none")  # the paper is the page's
    svg = _FONT.sub(r"font: \1px system-ui, sans-serif", svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg
