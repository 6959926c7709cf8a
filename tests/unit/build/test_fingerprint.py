"""When two configures build the same program."""

from __future__ import annotations

import string

from hypothesis import given
from hypothesis import strategies as st

from tuner.build.fingerprint import Place, Program, read_program
from tuner.build.ninja_file import parse_ninja


def program(
    build: str = "/b",
    source: str = "/s",
    *,
    flags: str = "-O3",
    launcher: str = "",
    hard_launcher: str = "",
    extra: str = "",
    generated: str = "int a;",
    cmake: str = "/usr/bin/cmake",
) -> Program:
    text = f"""
rule cc
  command = ${{LAUNCHER}}{hard_launcher}/usr/bin/cc $FLAGS -I{build}/inc -I{source}/inc -o $out -c $in
rule link
  command = : && {cmake} -E rm -f $out && c++ $in @$out.rsp -o $out && :
  rspfile_content = $in
build bin/llama-server: link a.o
build llama-server: phony bin/llama-server
build a.o: cc {source}/a.c
  FLAGS = {flags}
  LAUNCHER = {launcher}
{extra}
"""
    return read_program(
        parse_ninja(text, lambda name: ""),
        "llama-server",
        {f"{build}/version.cpp": f'{generated} // "{source}"'},
        [
            Place(path=build, name="<build>"),
            Place(path=source, name="<source>"),
            Place(path=cmake, name="<cmake>"),
        ],
        ["/opt/ccache"],
    )


def test_places_and_launchers_do_not_count() -> None:
    here = program()
    assert len(here.records) == 3
    assert len(here.fingerprint) == 64
    for other in (
        program("/elsewhere/b 2", "/s/vendor"),
        program("/s/build", "/s"),
        program("/b", "/b/source"),
        program(cmake="/venv/cmake"),
        program(launcher="/opt/ccache "),
        program(hard_launcher="/opt/ccache "),
        program(extra="build other.o: cc /s/other.c\n  FLAGS = -O0\n"),
    ):
        assert other.fingerprint == here.fingerprint
        assert other.changed_records(here) == 0


def test_what_is_compiled_counts() -> None:
    here = program()
    for other, changed in (
        (program(flags="-O2"), 1),
        (program(generated="int b;"), 1),
        (program(hard_launcher="/opt/other "), 1),
        (program(flags="-O2", generated="int b;"), 2),
    ):
        assert other.fingerprint != here.fingerprint
        assert other.changed_records(here) == here.changed_records(other) == changed


def test_a_path_is_replaced_as_a_whole() -> None:
    assert (
        program("/b", "/s", flags="-I/buzz").fingerprint != program("/x", "/s", flags="-I/xuzz").fingerprint
    )


_FOLDER = (
    st.text(string.ascii_letters + string.digits + "_-. ", min_size=1, max_size=12)
    .map(str.strip)
    .filter(lambda name: name not in ("", ".", ".."))
)


@given(_FOLDER, _FOLDER)
def test_a_tree_moved_anywhere_is_the_same_program(build: str, source: str) -> None:
    moved = program(f"/home/{build}/out", f"/data/{source}/llama.cpp".replace(" ", "_"))
    assert moved.fingerprint == program().fingerprint


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abc")))
def test_differences_are_counted_both_ways(one: list[str], other: list[str]) -> None:
    first, second = Program(records=tuple(sorted(one))), Program(records=tuple(sorted(other)))
    assert first.changed_records(second) == second.changed_records(first)
    assert (first.changed_records(second) == 0) == (first.fingerprint == second.fingerprint)
