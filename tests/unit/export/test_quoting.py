"""No value can change the text around it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from io import StringIO

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from tuner.errors import UserError
from tuner.export.quoting import check_name, compose, dockerfile, dockerfile_words, shell

NASTY = [
    "",
    " ",
    "a b",
    "'",
    '"',
    "\\",
    "$HOME",
    "${X:-y}",
    "$(id)",
    "`id`",
    "; rm -rf /",
    "#",
    "-D",
    "*",
    "é😀",
]
TEXT = st.text(
    alphabet=st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=40
) | st.sampled_from(NASTY)


def undo_dockerfile(text: str) -> str:
    """What BuildKit's shell lexer makes of a double-quoted word (moby's shell/lex.go)."""
    assert text[0] == text[-1] == '"'
    inner, out, index = text[1:-1], "", 0
    while index < len(inner):
        if inner[index] == "\\":
            assert inner[index + 1] in '"\\$'
            index += 1
        else:
            assert inner[index] not in '"$'
        out += inner[index]
        index += 1
    return out


@given(TEXT)
@example("$")
def test_a_dockerfile(value: str) -> None:
    assert undo_dockerfile(dockerfile(value)) == value
    assert "\n" not in dockerfile(value)


@given(st.lists(TEXT, max_size=5))
def test_the_exec_form(words: list[str]) -> None:
    assert json.loads(dockerfile_words(tuple(words))) == words
    assert "\n" not in dockerfile_words(tuple(words))


@given(TEXT)
def test_a_compose_file(value: str) -> None:
    read = YAML(typ="safe").load(StringIO(f"a: {compose(value)}\nb: 1\n"))
    assert read["b"] == 1
    assert not re.search(r"(?<!\$)(\$\$)*\$(?!\$)", read["a"]), "compose would put a variable there"
    assert read["a"].replace("$$", "$") == value


@given(st.lists(TEXT, min_size=1, max_size=5))
@settings(max_examples=50, deadline=None)
def test_a_real_shell(words: list[str]) -> None:
    script = "printf '%s\\0' " + " ".join(shell(word) for word in words)
    told = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=True).stdout.decode()
    assert told.split("\0")[:-1] == words
    assert shlex.split(" ".join(shell(word) for word in words)) == words


@pytest.mark.parametrize("quote", [shell, dockerfile, compose, lambda value: dockerfile_words((value,))])
@pytest.mark.parametrize("value", ["a\nb", "a\rb", "\0", "\x1b[1m", "\u2028", "\x85", "\ud800"])
def test_what_no_language_can_hold_is_refused(quote: object, value: str) -> None:
    assert callable(quote)
    with pytest.raises(UserError, match="cannot be exported"):
        quote(value)


@pytest.mark.parametrize("name", ["", "1A", "A B", "A=B", "A;B", "Ä", "A\n"])
def test_names(name: str) -> None:
    with pytest.raises(UserError, match="no name of an environment variable"):
        check_name(name)
