"""From a file on disk to a study or to its mistakes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.config.study_text import VALID, changed, load, problems, write
from tuner.config import load_study
from tuner.config.load import MAX_PROBLEMS
from tuner.errors import StudyFileError

STUDIES = Path(__file__).parents[3] / "studies"


def test_valid_file_loads(tmp_path: Path) -> None:
    study = load(tmp_path)
    assert study.name == "small"
    assert study.version == 1
    assert study.space.require == ("ubatch-size <= batch-size",)


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.name)
def test_delivered_studies_load(path: Path) -> None:
    assert load_study(path).name == path.stem


def test_on_and_off_stay_text(tmp_path: Path) -> None:
    study = load(tmp_path, ('["on", "off"]', "[on, off]"), ('flash-attn: "on"}', "flash-attn: on}"))
    assert study.space.args["flash-attn"].model_dump()["values"] == ("on", "off")


def test_all_problems_come_at_once_in_order(tmp_path: Path) -> None:
    text = changed(
        ("name: small", 'name: "a b"'),
        ("clients: 1,", "clients: none,"),
        ("trials: 3", "trails: 3"),
        ("load.output_tokens_per_s", "laod.output_tokens_per_s"),
        ("ubatch-size <= batch-size", "ubatch-sise <= batch-size"),
    )
    found = problems(tmp_path, text)
    assert [line.split(": ")[0] for line in found] == ["1", "18", "20", "22", "24"]
    assert [line.split(": ")[1] for line in found] == [
        "name",
        "space.require[0]",
        "workloads[0].clients",
        "objectives[0].maximize",
        "search.trails",
    ]
    assert "did you mean 'ubatch-size'?" in found[1]
    assert "a whole number is needed, not 'none'" in found[2]
    assert "did you mean 'load'?" in found[3]
    assert "did you mean 'trials'?" in found[4]


def test_lines_reach_into_nested_flow_and_block_values(tmp_path: Path) -> None:
    text = VALID.replace(
        "  - {name: load, kind: closed-loop, clients: 4, requests: 8, prompt_tokens: 128, output_tokens: 32}",
        "  - {name: load, kind: closed-loop,\n     clients: 4,\n     requests: -1,\n"
        "     prompt_tokens: 128, output_tokens: 32}\n"
        "  -\n    name: x\n    kind: closed-loop\n    clients: 0",
    )
    found = problems(tmp_path, text)
    assert "23: workloads[1].requests: at least 1 is needed, not -1" in found
    assert "28: workloads[2].clients: at least 1 is needed, not 0" in found
    # A missing key is named at the line of what lacks it.
    missing = [
        line for line in found if line.startswith("26: workloads[2].prompt_tokens: this key is missing")
    ]
    assert missing
    assert "Tokens of every prompt" in missing[0]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "the file is empty"),
        ("# nothing\n", 1, "the file is empty"),
        ("- a\n", 1, "not a mapping"),
        ("just text\n", 1, "not a mapping"),
        ("name: a\n b: c\n", 2, "not YAML"),
        ("name: [a\n", 2, "not YAML"),
        ("name: 'a\n", 2, "not YAML"),
        ("\tname: a\n", 1, "not YAML"),
        ("a: &x 1\nb: *x\n", 2, "aliases"),
        ("a: !!python/name:os.system x\n", 1, "tags"),
        ("!!map {a: 1}\n", 1, "tags"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("%YAML 1.1\n---\na: on\n", 2, "only YAML 1.2"),
        ("%YAML 1.99999999999\n---\na: on\n", 1, "remove the %YAML line"),
        ("%YAML 1." + "1" * 5000 + "\n---\na: on\n", 1, "remove the %YAML line"),
        ("a: " + "[" * 50 + "]" * 50, 1, "nested more than"),
        ("a: [" + "1," * 20_001 + "]", 1, "more than 20000 values"),
    ],
)
def test_unreadable_yaml(tmp_path: Path, text: str, line: int, message: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert problem.startswith(f"{line}: ")
    assert message in problem


def test_billion_laughs_is_refused_quickly(tmp_path: Path) -> None:
    text = "a0: &a0 [x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
    )
    (problem,) = problems(tmp_path, text)
    assert "aliases" in problem


def test_control_characters_are_a_problem(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "name: \x00\n")
    assert "not YAML" in problem


def test_duplicate_keys_name_both_lines(tmp_path: Path) -> None:
    found = problems(tmp_path, VALID + "name: other\n")
    assert found == ["25: name: the key is there twice, first in line 1; remove one"]


def test_keys_that_are_not_words(tmp_path: Path) -> None:
    found = problems(tmp_path, VALID + "? [a, b]\n: 1\n")
    assert found == ["25: a key has to be a single word"]


def test_number_beyond_all_bounds(tmp_path: Path) -> None:
    found = problems(tmp_path, changed(("trials: 3", "trials: " + "9" * 5000)))
    assert any("is not a usable number" in line for line in found)


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan", "1" + "0" * 30])
def test_numbers_that_are_none(tmp_path: Path, value: str) -> None:
    for old in ("KMP_BLOCKTIME: 0", "low: 64", "requests: 4"):
        text = changed((old, old.split(":")[0] + ": " + value))
        assert problems(tmp_path, text), text


@pytest.mark.parametrize("key", ["name", "model", "source", "serve", "space", "workloads", "objectives"])
def test_missing_sections(tmp_path: Path, key: str) -> None:
    lines = VALID.splitlines(keepends=True)
    start = next(i for i, line in enumerate(lines) if line.startswith(f"{key}:"))
    end = next(i for i in range(start + 1, len(lines)) if lines[i][0] not in " ")
    found = problems(tmp_path, "".join(lines[:start] + lines[end:]))
    assert any(line.startswith(f"1: {key}: this key is missing") for line in found), found


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(StudyFileError, match="there is no such file") as caught:
        load_study(tmp_path / "nope.yaml")
    assert caught.value.exit_code == 2
    assert caught.value.path == str(tmp_path / "nope.yaml")


def test_directory(tmp_path: Path) -> None:
    with pytest.raises(StudyFileError, match="this is a directory"):
        load_study(tmp_path)


def test_device_and_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(StudyFileError, match="not a regular file"):
            load_study(path)


def test_name_too_long_for_the_file_system(tmp_path: Path) -> None:
    with pytest.raises(StudyFileError):
        load_study(tmp_path / ("x" * 5000))


def test_binary_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(b"name: x\nmodel: \xff\xfe\n")
    with pytest.raises(StudyFileError, match=r"study\.yaml:2: not UTF-8"):
        load_study(path)


def test_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + VALID.encode())
    assert load_study(path).name == "small"


def test_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(VALID.replace("\n", "\r\n").encode())
    assert load_study(path).name == "small"


def test_huge_file(tmp_path: Path) -> None:
    with pytest.raises(StudyFileError, match="larger than 1024 KiB"):
        load_study(write(tmp_path, "# " + "x" * 1024 * 1024))


def test_endless_problems_are_cut(tmp_path: Path) -> None:
    found = problems(tmp_path, VALID + "".join(f"unknown{i}: 1\n" for i in range(500)))
    assert len(found) == MAX_PROBLEMS + 1
    assert "and 400 more" in found[-1]


@given(st.text(max_size=200))
def test_any_text_loads_or_is_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(StudyFileError) as caught:
        load_study(path)
    assert caught.value.problems


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(0, 5)
    | st.sampled_from(["on", "args", "a b", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["values", "low", "high", "step", "when", "args", "name", "kind", "env", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)
_SECTIONS = ["name", "model", "source", "build", "serve", "baselines", "space", "workloads", "objectives"]


@settings(max_examples=50)
@given(st.sampled_from([*_SECTIONS, "constraints", "search", "prefer", "version"]), _JSON)
def test_any_value_of_a_section_is_taken_or_explained(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: object
) -> None:
    """Malformed shapes end in problems of that study file, never in a stray exception."""
    path = tmp_path_factory.getbasetemp() / "any-section.yaml"
    kept = [line for line in _blocks(VALID) if not line.startswith(f"{key}:")]
    path.write_text("".join(kept) + f"{key}: {json.dumps(value)}\n", encoding="utf-8")
    found: tuple[str, ...] = ()
    try:
        load_study(path)
    except StudyFileError as error:
        found = error.problems
    assert all(problem.startswith(str(path)) for problem in found)


def _blocks(text: str) -> list[str]:
    """Top-level keys with everything under them."""
    blocks: list[str] = []
    for line in text.splitlines(keepends=True):
        if line.startswith(" "):
            blocks[-1] += line
        else:
            blocks.append(line)
    return blocks
