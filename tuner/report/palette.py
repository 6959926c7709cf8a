"""Colours that are told apart with every kind of colour blindness, on white and on black.

After Okabe and Ito, "Color universal design" (2008). In a page each is a variable of its style sheet, which
has other shades for the dark. A shape or a dash tells the same as a colour wherever it matters.
"""

from __future__ import annotations

from typing import Final

INK: Final = "#1c2530"
MUTED: Final = "#5c6773"
GRID: Final = "#d8dde3"
BASELINE: Final = "#6b7280"
"""llama.cpp's defaults."""
WINNER: Final = "#0072b2"
OTHER: Final = "#d98c00"
"""Another baseline."""
BAD: Final = "#c84b00"
GOOD: Final = "#00876c"
EXTRA: Final = "#b0578d"
SERIES: Final = (WINNER, OTHER, GOOD, EXTRA, BAD, BASELINE)
MARKERS: Final = ("o", "s", "^", "D", "v", "P")
DASHES: Final = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))

VARIABLES: Final = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    BASELINE: "--baseline",
    WINNER: "--winner",
    OTHER: "--other",
    BAD: "--bad",
    GOOD: "--good",
    EXTRA: "--extra",
}
"""Of the page's style sheet."""
