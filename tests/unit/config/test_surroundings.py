"""Keys that say what happens around a study."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.config.study_text import changed, load, problems
from tuner.model import Errand

NAME = "name: small\n"


def test_commands_are_lists_of_words_with_a_time_limit(tmp_path: Path) -> None:
    study = load(
        tmp_path,
        (
            NAME,
            NAME
            + "before: [[systemctl, stop, llama-server], {command: [sleep, 1.5], timeout_s: 2}]\n"
            + "after: [[systemctl, start, llama-server]]\n",
        ),
    )
    assert [spec.to_model() for spec in study.before] == [
        Errand(argv=("systemctl", "stop", "llama-server"), timeout_s=300),
        Errand(argv=("sleep", "1.5"), timeout_s=2),
    ]
    assert [spec.to_model() for spec in study.after] == [
        Errand(argv=("systemctl", "start", "llama-server"), timeout_s=300)
    ]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("before: systemctl stop x", "write [[systemctl, stop, llama-server]]"),
        ("before: [systemctl stop x]", "no"),
        ("before: [[]]", "the command has no words"),
        ("before: [[true]]", "put it in quotes"),
        ("before: [['']]", "the first word is the program"),
        ("before: [[a, [b]]]", "no word of a command"),
        ('before: [[a, "b\\nc"]]', "control characters"),
        ("before: [{command: [a], timeout: 3}]", "did you mean 'timeout_s'?"),
        ("before: [{command: [a], timeout_s: 0}]", "more than 0"),
        ("after: [systemctl]", "would need a shell"),
        ("keep: {disk: 10}", "is not a size"),
        ("keep: {disk: much}", "is not a size"),
        ("notify: {}", "nobody to notify"),
        ("notify: {url: https://hooks.example/s3cret}", "put it into an environment variable"),
        ("notify: {url_env: https://hooks.example/s3cret}", "environment variable"),
        ("notify: {token_env: TOKEN, command: [a]}", "is of a webhook"),
        ("notify: {command: mail me}", "would need a shell"),
        ("notify: {url_env: HOOK, timeout_s: 0}", "more than 0"),
    ],
)
def test_a_mistake_is_answered(tmp_path: Path, written: str, message: str) -> None:
    [told] = problems(tmp_path, changed((NAME, f"{NAME}{written}\n")))
    assert message in told


def test_they_do_not_change_what_the_study_is(tmp_path: Path) -> None:
    plain = load(tmp_path).content_hash
    around = "before: [[a]]\nafter: [[b]]\nnotify: {url_env: HOOK}\nkeep: {disk: 1G}\n"
    assert load(tmp_path, (NAME, NAME + around)).content_hash == plain


def test_the_disk_budget(tmp_path: Path) -> None:
    assert load(tmp_path).keep.disk_bytes == 10 << 30
    assert load(tmp_path, (NAME, f"{NAME}keep: {{disk: 500M}}\n")).keep.disk_bytes == 500 << 20
    assert load(tmp_path, (NAME, f"{NAME}keep: {{disk: null}}\n")).keep.disk_bytes is None
