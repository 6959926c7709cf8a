"""How the parts of a study file have to fit together."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.config.study_text import changed, load, problems

REQUIRE = '["ubatch-size <= batch-size"]'
UBATCH = "ubatch-size: {low: 64, high: 512, step: double}"
CONSTRAINT = '["chat.ttft_p50_s <= 1.2 * baseline"]'
OBJECTIVE = "[{maximize: load.output_tokens_per_s}]"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        # workloads
        ("name: load", "name: chat", "workloads[1].name: a second workload named 'chat'"),
        ("context_per_request: 512", "context_per_request: 160", "need 161 tokens of context"),
        # objectives
        (OBJECTIVE, "[{maximize: laod.e2e_p50_s}]", "there is no workload 'laod' (did you mean 'load'?)"),
        (OBJECTIVE, "[{maximize: load.e2e_p60_s}]", "there is no figure 'e2e_p60_s' (did you mean"),
        (OBJECTIVE, "[{maximize: load.zzzzzzz}]", "the figures are 'output_tokens_per_s'"),
        (OBJECTIVE, "[{maximize: ttft_p50_s}]", "did you mean 'chat.ttft_p50_s'?"),
        (OBJECTIVE, "[{maximize: lod-e2e_p50_s}]", "is not WORKLOAD.FIGURE (did you mean 'load.e2e_p50_s'?)"),
        (OBJECTIVE, "[{maximize: load.e2e_p50_s}, {minimize: load.e2e_p50_s}]", "objective already"),
        (
            OBJECTIVE,
            OBJECTIVE + "\nprefer: load.output_token_per_s",
            "prefer: 'load.output_token_per_s' is not",
        ),
        # constraints
        (CONSTRAINT, '["chat.ttft_p50_s"]', "is not a comparison: column 16"),
        (CONSTRAINT, '["chat.ttft_p50 < 1"]', "did you mean 'ttft_p50_s'?"),
        (CONSTRAINT, '["chta.ttft_p50_s < 1"]', "did you mean 'chat'?"),
        (CONSTRAINT, '["1 < 2"]', "it names no figure"),
        (CONSTRAINT, '["baseline < 2"]', "it names no figure"),
        (CONSTRAINT, '["chat.e2e_p50_s < load.e2e_p50_s * baseline"]', "stands for one figure"),
        (CONSTRAINT, "[\"chat.e2e_p50_s == 'x'\", \"chat.e2e_p50_s + 'x' < 1\"]", "figures are numbers"),
        # fixed, searched, baselines
        ("{mlock: true}", "{mlock: true, ubatch-size: 3}", "searched here and fixed in serve.args"),
        ("{GGML_NATIVE: true}", "{GGML_OPENMP: true}", "searched here and fixed in build.flags"),
        ("today:", "default:", "belongs to the baseline that every study has"),
        ("{mlock: true}", "{no-mlock: true}", "the same argument as serve.args.no-mlock"),
        ("parallel: 1", "n-gpu-layers: 1, gpu-layers: 2", "did you mean 'n-gpu-layers'?"),
        # speculation
        (UBATCH, UBATCH + "\n    spec-type: [none, draft-simple]", "flatter speculation"),
        ("{mlock: true}", "{mlock: true, model-draft: x}", "serve.args.model-draft: speculative"),
        ("parallel: 1", "spec-draft-n-max: 1", "baselines.today.args.spec-draft-n-max: speculative"),
        # source and backend
        ("source: {path: llama.cpp}\n", "", "source: this key is missing: a build needs"),
        ("flags: {GGML_NATIVE: true}", "{backend: prebuilt, binary: x}", "a prebuilt binary has no source"),
        ("flags: {GGML_NATIVE: true}", "{backend: prebuilt, binary: x}", "space.build: a prebuilt binary"),
        # conditions
        ('{flash-attn: "on"}', '{flash-atn: "on"}', "did you mean 'flash-attn'?"),
        ('{flash-attn: "on"}', "{mlock: true}", "'mlock' is fixed, so the condition never changes"),
        (
            '{flash-attn: "on"}',
            "{flash-attn: true}",
            "never is true, so the condition cannot hold; it is one of",
        ),
        ('{flash-attn: "on"}', "{ubatch-size: 96}", "never is 96"),
        ('{flash-attn: "on"}', "{cache-type-v: f16}", "cannot depend on itself"),
        (
            'flash-attn: ["on", "off"]',
            'flash-attn: {values: ["on", "off"], when: {cache-type-v: f16}}',
            "circle: args.cache-type-v needs args.flash-attn needs args.cache-type-v",
        ),
        # relations
        (REQUIRE, '["ubatch-sise <= 3"]', "did you mean 'ubatch-size'?"),
        (REQUIRE, '["ubatch-size-1 <= 3"]', "neither searched nor fixed"),
        (REQUIRE, '["a-b <= 3"]', "a subtraction needs spaces"),
        (REQUIRE, '["threads <= 3"]', "no documented default"),
        (REQUIRE, '["1 < 2"]', "it names no setting"),
        (REQUIRE, '["ubatch-size <"]', "is not a comparison"),
        (REQUIRE, '["flash-attn <= 3"]', "cannot be computed for every trial"),
        (REQUIRE, '["cache-type-k + 1 <= 3"]', "cannot be computed for every trial"),
        (REQUIRE, '["mlock + 1 <= 3"]', "cannot be computed for every trial"),
        ("{mlock: true}", "{mlock: true, batch-size: auto}", "cannot be computed for every trial"),
    ],
)
def test_what_does_not_fit(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = changed((old, new))
    if "{backend: prebuilt" in new:
        text = text.replace("build:\n  {backend", "build: {backend")
    found = problems(tmp_path, text)
    assert any(message in line for line in found), found


def test_prebuilt_baseline_with_flags(tmp_path: Path) -> None:
    text = changed(
        ("  flags: {GGML_NATIVE: true}", "  {backend: prebuilt, binary: x}"),
        ("source: {path: llama.cpp}\n", ""),
        ("  build: {GGML_OPENMP: [true, false]}\n", ""),
        ("today: {", "today: {build: {A: 1}, "),
    )
    (problem,) = problems(tmp_path, text)
    assert "baselines.today.build: a prebuilt binary has no build flags" in problem


def test_a_context_filled_to_the_last_token_is_too_small(tmp_path: Path) -> None:
    load(tmp_path, ("context_per_request: 512", "context_per_request: 161"))


def test_decode_figures_need_two_tokens(tmp_path: Path) -> None:
    one = ("prompt_tokens: 128, output_tokens: 32", "prompt_tokens: 128, output_tokens: 1")
    found = problems(tmp_path, changed(one, (OBJECTIVE, "[{minimize: load.tpot_p50_s}]")))
    assert any("needs answers of at least 2 tokens" in line for line in found)
    assert problems(tmp_path, changed(one)) == []


def test_nothing_to_search(tmp_path: Path) -> None:
    text = changed(
        ("  build: {GGML_OPENMP: [true, false]}\n", ""),
        ('    flash-attn: ["on", "off"]\n', ""),
        (f"    {UBATCH}\n", ""),
        ('    cache-type-v: {values: [f16, q8_0], when: {flash-attn: "on"}}\n', ""),
        ("  args:\n", "  args: {}\n"),
        (f"  require: {REQUIRE}\n", ""),
    )
    (problem,) = problems(tmp_path, text)
    assert "space: nothing is searched" in problem


def test_speculation_turned_off_is_fine(tmp_path: Path) -> None:
    load(tmp_path, ("{mlock: true}", "{mlock: true, spec-type: none}"))


@pytest.mark.parametrize(
    "relation",
    [
        "args.ubatch-size <= args.batch-size",
        "build.GGML_OPENMP == true",
        "KMP_BLOCKTIME <= 0",
        "env.KMP_BLOCKTIME <= 0",
        "mlock == true",
        "flash-attn == 'on'",
        "args.poll >= 0",
    ],
)
def test_relations_reach_every_layer(tmp_path: Path, relation: str) -> None:
    assert len(load(tmp_path, (REQUIRE, f'["{relation}"]')).require_expressions) == 1


def test_names_of_two_layers_have_to_be_told_apart(tmp_path: Path) -> None:
    both = (f"    {UBATCH}\n", f"    {UBATCH}\n    shared: [1, 2]\n")
    env = ("space:\n", "space:\n  env: {shared: [1, 2]}\n")
    ambiguous = problems(tmp_path, changed(both, env, (REQUIRE, '["shared <= 3"]')))
    assert any("'shared' may be 'env.shared' or 'args.shared'" in line for line in ambiguous)
    conditional = ('{flash-attn: "on"}', "{shared: 1}")
    ambiguous = problems(tmp_path, changed(both, env, conditional))
    assert any("when.shared: 'shared' may be 'env.shared' or 'args.shared'" in line for line in ambiguous)
    load(tmp_path, both, env, (REQUIRE, '["env.shared <= 3"]'), ('{flash-attn: "on"}', "{args.shared: 1}"))


def test_conditions_on_ranges(tmp_path: Path) -> None:
    for good in ("128", "[64, 512]"):
        load(tmp_path, ('{flash-attn: "on"}', f"{{ubatch-size: {good}}}"))
    for kind, value, expected in [
        ("{low: 1, high: 9, step: 4}", "5", True),
        ("{low: 1, high: 9, step: 4}", "6", False),
        ("{low: 1, high: 9}", "6.0", False),
        ("{low: 1, high: 9}", "'6'", False),
        ("{low: 0.0, high: 9}", "6.25", True),
        ("{low: 0.0, high: 0.9, step: 0.1}", "0.3", True),
        ("{low: 0.0, high: 0.9, step: 0.1}", "0.35", False),
        ("{low: 3, high: 24, step: double}", "12", True),
        ("{low: 3, high: 24, step: double}", "16", False),
    ]:
        text = changed((UBATCH, f"{UBATCH}\n    x: {kind}"), ('{flash-attn: "on"}', f"{{x: {value}}}"))
        assert (problems(tmp_path, text) == []) is expected, (kind, value)


def test_speculation_needs_text_in_every_workload(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("What is a llama?\nAnd an alpaca?\n")
    speculating = ("{mlock: true}", "{spec-type: ngram-mod}")
    own = ("prompt_tokens: 128", "prompts: {file: prompts.txt}")
    found = problems(tmp_path, changed(speculating))
    assert len(found) == 1
    assert "cannot be judged under 'chat' or 'load'" in found[0]
    one = changed(speculating).replace(*own, 1)
    assert "cannot be judged under 'load'" in problems(tmp_path, one)[0]
    assert problems(tmp_path, changed(speculating, own)) == []


def test_a_malformed_parameter_hides_no_other_problem(tmp_path: Path) -> None:
    text = changed(
        (UBATCH, "ubatch-size: 3"),
        ('{flash-attn: "on"}', "{ubatch-size: 3}"),
        (OBJECTIVE, "[{maximize: x.y}]"),
    )
    found = problems(tmp_path, text)
    assert any("not something to search" in line for line in found)
    assert any("there is no workload 'x'" in line for line in found)
