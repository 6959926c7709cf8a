"""Records survive the way to JSON and back, and damaged ones are named."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.model import ConstraintValue, Figure, Reason, Settings, TrialConfig
from tuner.storage import RecordUnreadable, TrialRecord, dumps, loads
from tuner.trial import Durations, TrialState

_scalars = st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=20)
_settings = st.dictionaries(st.text(min_size=1, max_size=12), _scalars, max_size=4).map(Settings)
_figures = st.dictionaries(
    st.text(min_size=1, max_size=12),
    st.builds(
        Figure,
        value=st.none() | st.floats(allow_nan=False),
        missing=st.text(max_size=10),
        samples=st.lists(st.floats(allow_nan=False), max_size=3).map(tuple),
        low=st.none() | st.floats(allow_nan=False),
        high=st.none() | st.floats(allow_nan=False),
        over=st.sampled_from(["", "launches", "requests"]),
    ),
    max_size=3,
)
records = st.builds(
    TrialRecord,
    label=st.text(max_size=12),
    number=st.none() | st.integers(0, 10**6),
    state=st.sampled_from(TrialState),
    config=st.builds(TrialConfig, build=_settings, env=_settings, args=_settings),
    identity=st.text(max_size=8),
    reason=st.none() | st.sampled_from(Reason),
    message=st.text(max_size=20),
    figures=_figures,
    objectives=st.lists(st.floats(allow_nan=False), max_size=2).map(tuple),
    constraints=st.lists(
        st.builds(ConstraintValue, expression=st.text(max_size=9), violation=st.floats(allow_nan=False)),
        max_size=2,
    ).map(tuple),
    flags=st.lists(st.text(max_size=9), max_size=2).map(tuple),
    command=st.lists(st.text(max_size=9), max_size=3).map(tuple),
    durations=st.builds(Durations, build_s=st.floats(0, 1e6), total_s=st.floats(0, 1e6)),
    reused_from=st.none() | st.text(max_size=9),
)


@given(records)
def test_a_record_survives_json(record: TrialRecord) -> None:
    assert loads(dumps(record)) == record


def test_a_record_from_before_intervals_is_read() -> None:
    row = {"value": 1.5, "missing": "", "samples": [1.5]}
    record = TrialRecord(
        label="trial 1",
        number=1,
        state=TrialState.COMPLETE,
        config=TrialConfig(),
        identity="i",
        figures={"load.ttft_p50_s": Figure(value=1.5, samples=(1.5,))},
    )
    old = json.loads(dumps(record))
    old["figures"] = {"load.ttft_p50_s": row}
    assert loads(json.dumps(old)) == record


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"version": 99}', '{"version": 1}', "{"])
def test_a_damaged_record_is_named(text: str) -> None:
    with pytest.raises(RecordUnreadable):
        loads(text)
