"""Single keys of the study file: what is taken, and how a mistake is answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.config.study_text import changed, load, problems
from tuner.config import (
    CmakeBuild,
    GitSource,
    ModelPackage,
    ModelPath,
    PathSource,
    PrebuiltBuild,
    RangeSpec,
    SdistSource,
    ValuesSpec,
)

MODEL = "model: model.gguf"
SOURCE = "source: {path: llama.cpp}"
FLAGS = "  flags: {GGML_NATIVE: true}"
ARGS = "args: {mlock: true}"
ENV = "env: {KMP_BLOCKTIME: 0}"
UBATCH = "ubatch-size: {low: 64, high: 512, step: double}"


def only(found: list[str]) -> str:
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("model: a b.gguf", ModelPath(path="a b.gguf")),
        ("model: {path: x.gguf}", ModelPath(path="x.gguf")),
        ("model: {package: some-model}", ModelPackage(package="some-model")),
    ],
)
def test_model(tmp_path: Path, written: str, meant: object) -> None:
    assert load(tmp_path, (MODEL, written)).model == meant


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("model: {path: a, package: b}", "exactly one of 'package' or 'path' is needed; both"),
        ("model: {pakage: b}", "did you mean 'package'?"),
        ("model: {}", "none is given"),
        ("model: 3", "3 is not what belongs here"),
        ("model: [a]", "a list is not what belongs here"),
        ("model: ''", "an empty text"),
        ('model: "a\\nb"', "control characters"),
        ("model: {package: ../x}", "not the name of a package"),
        ("model: {path: a, sha: b}", "unknown key"),
        ("model:", "nothing is not what belongs here"),
    ],
)
def test_model_mistakes(tmp_path: Path, written: str, message: str) -> None:
    assert message in only(problems(tmp_path, changed((MODEL, written))))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("source: {sdist: llama-cpp-python==0.3.36}", SdistSource(sdist="llama-cpp-python==0.3.36")),
        ("source: {sdist: a==1, subdir: v/ll}", SdistSource(sdist="a==1", subdir="v/ll")),
        ("source: {git: 'https://x/y', ref: b123}", GitSource(git="https://x/y", ref="b123")),
        ("source: {path: ~/llama.cpp}", PathSource(path="~/llama.cpp")),
    ],
)
def test_source(tmp_path: Path, written: str, meant: object) -> None:
    assert load(tmp_path, (SOURCE, written)).source == meant


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("source: {sdist: llama-cpp-python}", "is not PACKAGE==VERSION"),
        ("source: {sdist: 'a==1; rm'}", "is not PACKAGE==VERSION"),
        ("source: {sdist: a==1, git: b}", "both 'sdist' and 'git' are given"),
        ("source: {git: --upload-pack=x}", "must not start with '-'"),
        ("source: {git: x, ref: -x}", "must not start with '-'"),
        ("source: {path: x, subdir: ../y}", "leaves the source"),
        ("source: {path: x, subdir: /y}", "leaves the source"),
        ("source: {path: x, ref: y}", "unknown key"),
        ("source: llama.cpp", "write a mapping with one of"),
    ],
)
def test_source_mistakes(tmp_path: Path, written: str, message: str) -> None:
    assert message in only(problems(tmp_path, changed((SOURCE, written))))


def test_build(tmp_path: Path) -> None:
    build = load(tmp_path, (FLAGS, "  flags: {A: 1, B: x}\n  timeout_minutes: 3\n  jobs: 2")).build
    assert build == CmakeBuild(flags={"A": 1, "B": "x"}, timeout_minutes=3.0, jobs=2)


def test_prebuilt(tmp_path: Path) -> None:
    study = load(
        tmp_path,
        (FLAGS, "  backend: prebuilt\n  binary: bin/llama-server"),
        (SOURCE + "\n", ""),
        ("  build: {GGML_OPENMP: [true, false]}\n", ""),
    )
    assert study.build == PrebuiltBuild(backend="prebuilt", binary="bin/llama-server")
    assert study.source is None
    assert not study.fixed.build


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("  backend: dokcer", "did you mean 'docker'?"),
        ("  backend: docker\n  image: gup", "'cpu' or 'gpu'"),
        ("  backend: docker\n  build_image: 'a b'", "is not an image"),
        ("  backend: docker\n  build_packages: ['x; rm']", "is not a package"),
        ("  backend: cmaek", "did you mean 'cmake'?"),
        ("  backend: 3", "3 is not a backend"),
        ("  flags: {-DGGML_X: true}", "did you mean 'GGML_X'?"),
        ("  flags: {'GGML X': true}", "not a CMake variable"),
        ("  flags: {LLAMA_BUILD_TESTS: true}", "nothing else"),
        ("  flags: {LLAMA_USE_PREBUILT_UI: true}", "must not download"),
        ("  flags: {A: [1]}", "one value is needed"),
        ("  flags: {A: }", "leave the key out"),
        ("  flags: [A]", "a mapping of `key: value` is needed"),
        ("  flags:", "write {} or leave the key out"),
        ("  timeout_minutes: 0", "more than 0 is needed"),
        ("  timeout_minutes: fast", "a number is needed"),
        ("  jobs: 0", "at least 1"),
        ("  jobs: 1.5", "a whole number"),
        ("  jobs: true", "a whole number is needed, not true"),
        ("  binary: x", "unknown key"),
    ],
)
def test_build_mistakes(tmp_path: Path, written: str, message: str) -> None:
    assert message in only(problems(tmp_path, changed((FLAGS, written))))


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("args: {-ub: 3}", "did you mean 'ubatch-size'?"),
        ("args: {ub: 3}", "did you mean 'ubatch-size'?"),
        ("args: {--ubatch-size: 3}", "did you mean 'ubatch-size'?"),
        ("args: {ubatch_size: 3}", "did you mean 'ubatch-size'?"),
        ("args: {Ubatch-Size: 3}", "did you mean 'ubatch-size'?"),
        ("args: {-ngl: 3}", "did you mean 'gpu-layers'?"),
        ("args: {'a b': 3}", "not a server argument"),
        ("args: {ctx-size: 3}", "context is a promise"),
        ("args: {ctx_size: 3}", "context is a promise"),
        ("args: {-c: 3}", "serve.context_per_request"),
        ("args: {c: 3}", "serve.context_per_request"),
        ("args: {--ctx-size: 3}", "context is a promise"),
        ("args: {kv-unified-per-slot: 3}", "context is a promise"),
        ("args: {model: x}", "the study file's own `model`"),
        ("args: {-m: x}", "the study file's own `model`"),
        ("args: {port: 1}", "free port"),
        ("args: {host: 0.0.0.0}", "loopback"),
        ("args: {metrics: true}", "endpoints"),
        ("args: {api-key: x}", "without keys"),
        ("args: {no-slots: true}", "endpoints"),
        ("args: {no-webui: true}", "endpoints"),
        ("args: {fit: 'on'}", "--fit off"),
        ("args: {cram: 0}", "did you mean 'cache-ram'?"),
        ("args: {cache-ram: 0}", "no workload is about prompt caches"),
        ("args: {no-cache-prompt: true}", "prompt caches off"),
        ("args: {n-predict: 4}", "with every request"),
        ("args: {list-devices: true}", "exits"),
        ("args: {gpt-oss-20b-default: true}", "`model`"),
        ("args: {threads: [1, 2]}", "one value is needed"),
        ("args: {threads: }", "leave the key out"),
        ("args: {chat-template: 'a\x7f'}", "not YAML"),
        ("args: {numa: " + "x" * 2000 + "}", "at most 1024"),
        ("args: {threads: 99999999999999999999}", "64 bits"),
        ("args: {temp: .nan}", "not a finite number"),
    ],
)
def test_argument_mistakes(tmp_path: Path, written: str, message: str) -> None:
    assert message in only(problems(tmp_path, changed((ARGS, written))))


def test_no_host_is_not_the_address(tmp_path: Path) -> None:
    assert load(tmp_path, (ARGS, "args: {no-host: true}")).fixed.args["no-host"] is True


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("env: {LLAMA_ARG_THREADS: 1}", "write the argument under `args`"),
        ("env: {LLAMA_API_KEY: x}", "keys"),
        ("env: {1A: x}", "not an environment variable"),
        ("env: {A=B: x}", "not an environment variable"),
        ("env: {A: {}}", "one value is needed"),
    ],
)
def test_environment_mistakes(tmp_path: Path, written: str, message: str) -> None:
    assert message in only(problems(tmp_path, changed((ENV, written))))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("ubatch-size: [64, 128]", ValuesSpec(values=(64, 128))),
        ("ubatch-size: {values: [64, null]}", ValuesSpec(values=(64, None))),
        ("ubatch-size: {low: 1, high: 9}", RangeSpec(low=1, high=9)),
        ("ubatch-size: {low: 1, high: 9, step: 4}", RangeSpec(low=1, high=9, step=4)),
        ("ubatch-size: {low: 1, high: 9.5}", RangeSpec(low=1, high=9.5)),
        ("ubatch-size: {low: 0.5, high: 9.5, step: 0.5}", RangeSpec(low=0.5, high=9.5, step=0.5)),
        ("ubatch-size: {low: 1, high: 9, log: true}", RangeSpec(low=1, high=9, log=True)),
        ("ubatch-size: {low: 3, high: 6, step: double}", RangeSpec(low=3, high=6, step="double")),
        ("ubatch-size: {low: 4, high: 4}", RangeSpec(low=4, high=4)),
    ],
)
def test_parameters(tmp_path: Path, written: str, meant: object) -> None:
    assert load(tmp_path, (UBATCH, written)).space.args["ubatch-size"] == meant


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("ubatch-size: {low: 9, high: 1}", "upside down: low 9 is above high 1; swap them"),
        ("ubatch-size: {low: 1}", "high: this key is missing"),
        ("ubatch-size: {high: 1}", "low: this key is missing"),
        ("ubatch-size: {step: 1}", "this key is missing"),
        ("ubatch-size: {low: 1, high: 3, step: 4}", "larger than the whole range, 2"),
        ("ubatch-size: {low: 1, high: 3, step: 0}", "0 is not a step"),
        ("ubatch-size: {low: 1, high: 3, step: -1}", "-1 is not a step"),
        ("ubatch-size: {low: 1, high: 3, step: true}", "true is not a step"),
        ("ubatch-size: {low: 1, high: 3, step: duoble}", "'duoble' is not a step"),
        ("ubatch-size: {low: 1, high: 3, step: 0.5}", "not an integer"),
        ("ubatch-size: {low: 0, high: 3, log: true}", "log needs low above 0"),
        ("ubatch-size: {low: 1, high: 3, log: true, step: 1}", "exclude each other"),
        ("ubatch-size: {low: 1, high: 3, log: yes}", "true or false is needed"),
        ("ubatch-size: {low: 0, high: 3, step: double}", "nothing else can be doubled"),
        ("ubatch-size: {low: -2, high: 3, step: double}", "low above 0"),
        ("ubatch-size: {low: 64, high: 100, step: double}", "reaches no value but 64"),
        ("ubatch-size: {low: true, high: 3}", "a number is needed, not true"),
        ("ubatch-size: {low: x, high: 3}", "a number is needed, not 'x'"),
        ("ubatch-size: {low: 1, high: .inf}", "a number is needed"),
        ("ubatch-size: {low: 1, high: 99999999999999999}", "cannot be searched exactly"),
        ("ubatch-size: []", "at least 1 is needed here"),
        ("ubatch-size: {values: []}", "at least 1 is needed here"),
        ("ubatch-size: {values: 3}", "a list is needed, not 3"),
        ("ubatch-size: {values: [[1]]}", "one value is needed"),
        ("ubatch-size: [1, 2, 1]", "1 is listed twice"),
        ("ubatch-size: [1, true]", "true is listed beside 1, its equal"),
        ("ubatch-size: [1, 1.0]", "1.0 is listed beside 1, its equal"),
        ("ubatch-size: {values: [1], low: 2}", "not both (values and low)"),
        ("ubatch-size: {}", "needs either values: [...] or low and high"),
        ("ubatch-size: 64", "64 is not something to search"),
        ("ubatch-size:", "nothing is not something to search"),
        ("ubatch-size: {values: [1], wen: {a: 1}}", "did you mean 'when'?"),
        ("ubatch-size: {values: [1], when: [a]}", "a mapping"),
        ("ubatch-size: {values: [1], when: {flash-attn: []}}", "at least 1 is needed here"),
        ("ubatch-size: {values: [1], when: {flash-attn: }}", "leave the key out"),
        ("ctx-size: [1, 2]", "context is a promise"),
        ("-np: [1, 2]", "did you mean 'parallel'?"),
    ],
)
def test_parameter_mistakes(tmp_path: Path, written: str, message: str) -> None:
    text = changed((UBATCH, written), ('  require: ["ubatch-size <= batch-size"]\n', ""))
    found = problems(tmp_path, text)
    assert any(message in line for line in found), found


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: small", "name: ../x", "not a usable name"),
        ("name: small", "name: .x", "not a usable name"),
        ("name: small", "name: " + "x" * 65, "at most 64"),
        ("name: small", "name: 3", "a text is needed, not 3; put it in quotes"),
        ("name: small", "name: small\nversion: 2", "2 is not a version"),
        ("name: small", "name: small\nversion: '1'", "it reads version 1"),
        ("name: small", "name: small\nversion: true", "true is not a version"),
        ("context_per_request: 512", "context_per_request: 0", "at least 1"),
        ("context_per_request: 512\n", "ready_timeout_s: 3\n", "context_per_request: this key is missing"),
        ("search: {trials: 3}", "search: {sampler: gp}", "'gp' is not available in this version"),
        ("search: {trials: 3}", "search: {sampler: tpee}", "did you mean 'tpe'?"),
        ("search: {trials: 3}", "search: {sampler: 1}", "1 is not a sampler"),
        ("search: {trials: 3}", "search: {hours: -1}", "more than 0 is needed, not -1"),
        ("search: {trials: 3}", "search: {seed: 4294967296}", "at most"),
        ("search: {trials: 3}", "search: {confirm: {launches: 2}}", "at least 3"),
        ("search: {trials: 3}", "search: 3", "a mapping of `key: value` is needed, not 3"),
        ("constraints: [", "constraints: [3, ", "a text is needed"),
        ("objectives: [{maximize: load.output_tokens_per_s}]", "objectives: []", "at least 1"),
        ("{maximize: load", "{maximise: load", "did you mean 'maximize'?"),
        ("kind: closed-loop, clients: 1", "kind: open-loop, clients: 1", "unknown key; known here"),
        ("kind: closed-loop, clients: 1", "kind: open-loop, clients: 1", "rate_rps: this key is missing"),
        ("kind: closed-loop, clients: 1", "kind: closedloop, clients: 1", "did you mean 'closed-loop'?"),
        ("kind: closed-loop, clients: 1", "kind: [x], clients: 1", "a list is not a kind of workload"),
        ("clients: 4, requests: 8", "clients: 4, requests: 3", "ask for at least 4"),
        ("name: chat", "name: chat.v2", "not a usable workload name"),
        ("name: load", "name: baseline", "not a usable workload name"),
        ("  today: {", "  'a b': {", "not a usable name"),
        ("  today: {args", "  today: {arg", "did you mean 'args'?"),
    ],
)
def test_other_mistakes(tmp_path: Path, old: str, new: str, message: str) -> None:
    found = problems(tmp_path, changed((old, new)))
    assert any(message in line for line in found), found
