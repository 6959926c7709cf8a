"""The JSON Schema is complete and explains itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tuner.config import study_schema


def _properties(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, definition in [("StudyFile", schema), *schema["$defs"].items()]:
        for key, value in definition.get("properties", {}).items():
            yield f"{name}.{key}", value


def test_every_key_is_described() -> None:
    undescribed = [name for name, value in _properties(study_schema()) if not value.get("description")]
    assert undescribed == []


def test_unknown_keys_are_refused_everywhere() -> None:
    schema = study_schema()
    for definition in [schema, *schema["$defs"].values()]:
        assert definition["additionalProperties"] is False, definition["title"]


def test_it_is_json_and_names_the_keys() -> None:
    schema = json.loads(json.dumps(study_schema()))
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert {"name", "model", "serve", "space", "workloads", "objectives"} <= set(schema["required"])
    assert "ClosedLoopSpec" in schema["$defs"]


def test_short_forms_are_in_it() -> None:
    schema = study_schema()
    assert {"type": "string"} in [
        {"type": option.get("type")} for option in schema["properties"]["model"]["anyOf"]
    ]
    parameter = schema["$defs"]["SpaceSpec"]["properties"]["args"]["additionalProperties"]
    assert "array" in [option.get("type") for option in parameter["anyOf"]]
