"""Reading ninja files."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.build.ninja_file import NinjaSyntaxError, expand, parse_ninja

_TEXT = """\
# a comment
ninja_required_version = 1.5
root = /src
include rules.ninja
pool console_like
  depth = 1

build all: phony bin/server
build a.o | a.d: compile $root/a$ b.c | $root/x.h || order |@ valid
  FLAGS = -O2 $
      -g
  MORE = $FLAGS -x
build order: phony
build bin/server: link a.o $:odd
default all
"""
_RULES = """\
rule compile
  command = ${LAUNCHER}cc $FLAGS $$HOME -o $out -c $in
rule link
  command = ld $in -o $out
  rspfile_content = $in
"""


def test_edges_and_commands() -> None:
    file = parse_ninja(_TEXT, lambda name: {"rules.ninja": _RULES}[name])
    edge = file.by_output["a.o"]
    assert edge.outputs == ("a.o", "a.d")
    assert edge.inputs == ("/src/a b.c",)
    assert edge.needs == ("/src/x.h", "order")
    assert edge.bindings["MORE"] == "-O2 -g -x"
    assert file.value(edge, "command") == "cc -O2 -g $HOME -o a.o -c /src/a b.c"
    assert file.value(edge, "nowhere") == ""
    assert file.value(edge, "command", without=frozenset({"FLAGS"})) == "cc  $HOME -o a.o -c /src/a b.c"
    assert file.by_output["bin/server"].inputs == ("a.o", ":odd")


def test_only_what_the_target_needs() -> None:
    file = parse_ninja(
        "build a: phony b\nbuild b: phony || c\nbuild c: phony a\nbuild other: phony b\n", lambda name: ""
    )
    assert {edge.outputs[0] for edge in file.reachable("a")} == {"a", "b", "c"}
    with pytest.raises(KeyError):
        file.reachable("nowhere")


@pytest.mark.parametrize(
    "text",
    ["nonsense", "build x", "build : phony y", "rule a\n  nonsense\n", "x = 1$", "build a$", "build $ "],
)
def test_what_is_not_ninja(text: str) -> None:
    with pytest.raises(NinjaSyntaxError):
        parse_ninja(text, lambda name: "")


def test_a_rule_that_refers_to_itself() -> None:
    file = parse_ninja("rule r\n  command = $a\n  a = $command\nbuild x: r\n", lambda name: "")
    with pytest.raises(NinjaSyntaxError, match="refers to itself"):
        file.value(file.by_output["x"], "command")


def escaped(path: str) -> str:
    return path.replace("$", "$$").replace(" ", "$ ").replace(":", "$:")


@given(
    st.lists(
        st.text(
            st.characters(codec="ascii", exclude_characters="\n\r|\t\0", exclude_categories=["Cc"]),
            min_size=1,
        ),
        min_size=2,
        max_size=4,
    )
)
def test_escaped_paths_come_back(paths: list[str]) -> None:
    output, *inputs = paths
    text = f"build {escaped(output)}: r {' '.join(escaped(path) for path in inputs)}\n"
    edge = parse_ninja(text, lambda name: "").edges[0]
    assert edge.outputs == (output,)
    assert edge.inputs == tuple(inputs)


@given(st.text())
def test_expanding_without_dollars_changes_nothing(text: str) -> None:
    plain = text.replace("$", "")
    assert expand(plain, lambda name: "?") == plain
    assert expand(text.replace("$", "$$"), lambda name: "?") == text


@given(st.text(max_size=200))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with contextlib.suppress(NinjaSyntaxError):
        parse_ninja(text, lambda name: "")
