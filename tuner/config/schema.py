"""The study file's JSON Schema, for editors and for people."""

from __future__ import annotations

from typing import Any

from tuner.config.study import StudyFile


def study_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the study file. How its parts must fit together is checked by `load_study`."""
    schema = StudyFile.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
