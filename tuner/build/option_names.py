"""The names of the variables that a tree's cmake files declare and read, also of parts that are off here."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_NAME = r"([A-Za-z_][A-Za-z0-9_]*)"
_COMMENT = re.compile(r"#(?!\[).*")
_DECLARED = re.compile(
    rf"\b(?:option|cmake_dependent_option)\s*\(\s*{_NAME}|\bset\s*\(\s*{_NAME}\b[^()]*\bCACHE\b",
    re.IGNORECASE,
)
_READ = re.compile(rf"\$\{{{_NAME}\}}|\bllama_option_depr\s*\(\s*\w+\s+{_NAME}", re.IGNORECASE)
_CONDITION = re.compile(r"\b(?:else)?if\s*\(([^\n]*)", re.IGNORECASE)
_WORD = re.compile(r"(?<![\w\"./-])[A-Z][A-Z0-9_]*_\w+")
"""A variable's bare name in a condition; none that is asked about is without an underscore."""
_OWN = ("GGML_", "LLAMA_")


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeNames:
    """What the cmake files say."""

    declared: frozenset[str]
    """llama.cpp's and ggml's own options: what a misspelt flag may have meant."""
    read: frozenset[str]
    """Every variable that is declared or looked at somewhere."""


def read_tree_names(root: Path) -> TreeNames:
    """Read every CMakeLists.txt and *.cmake below `root` (about 0.1 s)."""
    declared: set[str] = set()
    read: set[str] = set()
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in ("docs", "models")]
        for file in files:
            if file == "CMakeLists.txt" or file.endswith(".cmake"):
                text = (Path(folder) / file).read_text(errors="replace")
                more_declared, more_read = names_in(text)
                declared |= more_declared
                read |= more_read
    return TreeNames(
        declared=frozenset(name for name in declared if name.startswith(_OWN)),
        read=frozenset(declared | read),
    )


def names_in(text: str) -> tuple[set[str], set[str]]:
    """(declared, looked at) in one cmake file."""
    code = _COMMENT.sub("", text)
    return (
        {name for found in _DECLARED.findall(code) for name in found if name},
        {name for found in _READ.findall(code) for name in found if name}
        | {name for condition in _CONDITION.findall(code) for name in _WORD.findall(condition)},
    )
