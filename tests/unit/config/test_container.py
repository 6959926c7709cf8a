"""`serve.container`."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.unit.config.study_text import changed, problems
from tuner.config import ContainerSpec

SERVE = "  context_per_request: 512"


def test_nothing_is_limited_unless_it_is_said() -> None:
    spec = ContainerSpec.model_validate({})
    assert (spec.memory_bytes, spec.cpus, spec.gpus) == (None, None, None)


@pytest.mark.parametrize(
    ("written", "size_bytes"), [("8G", 8 << 30), ("1.5GiB", 3 << 29), ("512m", 512 << 20)]
)
def test_memory(written: str, size_bytes: int) -> None:
    assert ContainerSpec.model_validate({"memory": written}).memory_bytes == size_bytes


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("all", "all"),
        ("none", "none"),
        (2, 2),
        ([0, 2], ("0", "2")),
        (["GPU-1f", "MIG-2"], ("GPU-1f", "MIG-2")),
    ],
)
def test_gpus(written: object, read: object) -> None:
    assert ContainerSpec.model_validate({"gpus": written}).gpus == read


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ({"memory": "much"}, "not a size"),
        ({"memory": 8}, "write it with its unit"),
        ({"memory": "1M"}, "at least 64M"),
        ({"cpus": 0}, "greater than or equal"),
        ({"cpus": "4"}, "number"),
        ({"gpus": 0}, "write none"),
        ({"gpus": True}, "does not say which GPUs"),
        ({"gpus": "some"}, "does not say which GPUs"),
        ({"gpus": []}, "does not say which GPUs"),
        ({"gpus": [0, 0]}, "does not say which GPUs"),
        ({"gpus": ["0,1"]}, "does not say which GPUs"),
        ({"gpus": [True]}, "does not say which GPUs"),
        ({"memroy": "8G"}, "Extra inputs"),
    ],
)
def test_mistakes(written: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        ContainerSpec.model_validate(written)


def test_without_an_image_there_is_no_container(tmp_path: Path) -> None:
    text = changed((SERVE, f"{SERVE}\n  container: {{memory: 8G}}"))
    (problem,) = problems(tmp_path, text)
    assert "only images run in containers" in problem
    assert "serve.container" in problem
