"""What is printed is text: nothing in a name or a log line moves the cursor or is taken for markup."""

from __future__ import annotations

from pathlib import Path

import gguf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuner.cli.console import clean, note, print_line, print_table
from tuner.cli.main import run

_HOSTILE = "\x1b[2J\x1b]0;title\x07[bold red]x[/] \x9b31m\r\x08\x00<b>&lt;</b>"
_CONTROL = {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))} - {"\n", "\t"}


def test_escapes_are_shown_as_something_that_does_nothing() -> None:
    assert not _CONTROL & set(clean(_HOSTILE))
    assert "[bold red]x[/]" in clean(_HOSTILE)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text())
def test_whatever_is_printed(capsys: pytest.CaptureFixture[str], text: str) -> None:
    print_line(text)
    note(text, warning=True)
    print_table(["name", "value"], [[text, "1"]], title=text)
    told = capsys.readouterr()
    assert not _CONTROL & set(told.out + told.err)


def test_markup_in_cells_is_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name"], [["[bold]loud[/bold]"]])
    assert "[bold]loud[/bold]" in capsys.readouterr().out


def test_a_models_name_cannot_move_the_cursor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "tiny.gguf"
    assert run(["model", "synth", str(model)]) == 0
    named = tmp_path / "named.gguf"
    _rename(model, named, _HOSTILE)
    capsys.readouterr()
    assert run(["model", "inspect", str(named)]) == 0
    told = capsys.readouterr()
    assert "[bold red]x[/]" in told.out
    assert not _CONTROL & set(told.out + told.err)


def _rename(model: Path, into: Path, name: str) -> None:
    """The same model, called otherwise: the name's field is longer, so the header is written anew."""
    reader = gguf.GGUFReader(model)
    writer = gguf.GGUFWriter(into, "llama")
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in ("general.architecture", "general.name"):
            continue
        value, kind = field.contents(), field.types[0]
        if kind is gguf.GGUFValueType.ARRAY:
            writer.add_array(field.name, value)
        else:
            writer.add_key_value(field.name, value, kind)
    writer.add_name(name)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
