"""The lines are what llama-servers of three years printed, or what their sources would print."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.errors import ArgumentRefused, LaunchFailed, LoadFailed
from tuner.launch.failures import (
    Failure,
    Phase,
    classify_exit,
    failure_error,
    find_notes,
    find_spoiling,
)
from tuner.model import Reason

LOAD_FAILED = """\
llama_model_load_from_file_impl: failed to load model
srv    load_model: failed to load model, 'm.gguf'
main: exiting due to model loading error
"""


@pytest.mark.parametrize(
    ("line", "code", "reason"),
    [
        ("error: invalid argument: --mlock", 1, Reason.ARGUMENT_UNKNOWN),
        (
            'error while handling argument "--draft-max": the argument has been removed. use --spec-draft',
            1,
            Reason.ARGUMENT_UNKNOWN,
        ),
        ('error while handling argument "-ub": stoi', 1, Reason.ARGUMENT_VALUE),
        ("  what():  Invalid cache type: bogus", 134, Reason.ARGUMENT_VALUE),
        (
            "E llama_init_from_model: failed to initialize the context: n_seq_max must be <= 256",
            1,
            Reason.ARGUMENT_VALUE,
        ),
        (
            "main: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 8080",
            1,
            Reason.PORT_IN_USE,
        ),
        (
            "gguf_init_from_file_impl: invalid magic characters: 'hell', expected 'GGUF'",
            1,
            Reason.MODEL_CORRUPT,
        ),
        ("gguf_init_from_file: invalid magic characters 'hell'", 1, Reason.MODEL_CORRUPT),
        ("gguf_init_from_reader: failed to read key-value pairs", 1, Reason.MODEL_CORRUPT),
        ("gguf_init_from_reader: failed to read magic", 1, Reason.MODEL_CORRUPT),
        (
            "llama_model_load: error loading model: tensor 'output.weight' data is not within the file "
            "bounds, model is corrupted or incomplete",
            1,
            Reason.MODEL_CORRUPT,
        ),
        (
            "llama_model_load: error loading model: error loading model architecture: unknown model "
            "architecture: 'gemma3'",
            1,
            Reason.MODEL_UNSUPPORTED,
        ),
        (
            "llama_model_load: error loading model: missing tensor 'blk.0.attn_q.weight'",
            1,
            Reason.MODEL_UNSUPPORTED,
        ),
        (
            "gguf_init_from_file: failed to open GGUF file 'm.gguf' (No such file or directory)",
            1,
            Reason.MODEL_MISSING,
        ),
        (
            "gguf_init_from_file: failed to open 'm.gguf': 'No such file or directory'",
            1,
            Reason.MODEL_MISSING,
        ),
        (
            "llama_new_context_with_model: V cache quantization requires flash_attn",
            1,
            Reason.KV_TYPE_NEEDS_FLASH_ATTENTION,
        ),
        (
            "llama_init_from_model: quantized V cache requires flash_attn to be enabled",
            1,
            Reason.KV_TYPE_NEEDS_FLASH_ATTENTION,
        ),
        (
            "quantized V cache was requested, but this requires Flash Attention",
            1,
            Reason.KV_TYPE_NEEDS_FLASH_ATTENTION,
        ),
        (
            "llama_init_from_model: K cache type q8_0 with block size 32 does not divide n_embd_head_k=80",
            1,
            Reason.KV_TYPE_HEAD_DIMENSION,
        ),
        (
            "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 9000.00 MiB on device 0: cudaMalloc "
            "failed: out of memory",
            1,
            Reason.OUT_OF_DEVICE_MEMORY,
        ),
        (
            "llama_model_load: error loading model: unable to allocate CUDA0 buffer",
            1,
            Reason.OUT_OF_DEVICE_MEMORY,
        ),
        ("llama_init_from_model: failed to allocate buffer for kv cache", 1, Reason.OUT_OF_DEVICE_MEMORY),
        ("llama_init_from_model: failed to allocate compute pp buffers", 1, Reason.OUT_OF_DEVICE_MEMORY),
        (
            "ggml_aligned_malloc: insufficient memory (attempted to allocate 900000.00 MB)",
            1,
            Reason.OUT_OF_HOST_MEMORY,
        ),
        (
            "ggml_backend_cpu_buffer_type_alloc: failed to allocate buffer of size 9",
            1,
            Reason.OUT_OF_HOST_MEMORY,
        ),
        ("terminate called after throwing an instance of 'std::bad_alloc'", 134, Reason.OUT_OF_HOST_MEMORY),
        (
            "CUDA error: no kernel image is available for execution on the device",
            134,
            Reason.NO_KERNEL_FOR_DEVICE,
        ),
        (
            "mmq.cuh:9: ERROR: CUDA kernel mul_mat_q has no device code compatible with CUDA arch 700. "
            "ggml-cuda.cu was compiled for: 890",
            134,
            Reason.NO_KERNEL_FOR_DEVICE,
        ),
        ("ggml.c:12: GGML_ASSERT(a != b) failed", 134, Reason.ASSERTION),
        ("ggml-cuda.cu:99: CUDA error", 134, Reason.CRASHED),
        ("CUDA error: unspecified launch failure", 134, Reason.DEVICE_FAULT),
        ("CUDA error: unknown error", 134, Reason.DEVICE_FAULT),
        ("CUDA error: an illegal memory access was encountered", 134, Reason.DEVICE_FAULT),
        ("CUDA error: GPU is lost", 134, Reason.DEVICE_LOST),
        ("NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus.", 134, Reason.DEVICE_LOST),
        ("CUDA error: uncorrectable ECC error encountered", 134, Reason.DEVICE_LOST),
        ("CUDA error: CUDA-capable device(s) is/are busy or unavailable", 134, Reason.DEVICE_LOST),
    ],
)
def test_while_starting(line: str, code: int, reason: Reason) -> None:
    log = f"build: 1 (c919d5d)\n{line}\n{LOAD_FAILED}"
    assert classify_exit(log, code, Phase.STARTING) == Failure(reason=reason, line=line.strip())


@pytest.mark.parametrize(
    ("code", "starting", "serving"),
    [
        (0, Reason.EXITED_WHILE_STARTING, Reason.CRASHED),
        (1, Reason.EXITED_WHILE_STARTING, Reason.CRASHED),
        (134, Reason.CRASHED, Reason.CRASHED),
        (137, Reason.KILLED, Reason.KILLED),
        (139, Reason.CRASHED, Reason.CRASHED),
        (143, Reason.KILLED, Reason.KILLED),
    ],
)
def test_a_log_that_says_nothing(code: int, starting: Reason, serving: Reason) -> None:
    assert classify_exit("", code, Phase.STARTING) == Failure(reason=starting, line="")
    assert classify_exit("", code, Phase.SERVING).reason is serving


def test_memory_under_load_is_another_reason_than_at_the_start() -> None:
    log = "CUDA error: out of memory\n  current device: 0\nggml-cuda.cu:90: CUDA error\n"
    assert classify_exit(log, 134, Phase.STARTING).reason is Reason.OUT_OF_DEVICE_MEMORY
    assert classify_exit(log, 134, Phase.SERVING).reason is Reason.OUT_OF_DEVICE_MEMORY_UNDER_LOAD


def test_a_context_error_that_is_logged_twice_is_one() -> None:
    line = "E llama_init_from_model: quantized V cache requires flash_attn to be enabled"
    found = classify_exit(f"{line}\nW common_fit_params: failed\n{line}\n{LOAD_FAILED}", 1, Phase.STARTING)
    assert found == Failure(reason=Reason.KV_TYPE_NEEDS_FLASH_ATTENTION, line=line)


def test_an_unknown_end_quotes_the_last_error() -> None:
    found = classify_exit("starting\nsrv: failed to do a new thing\nbye\n", 1, Phase.STARTING)
    assert found == Failure(reason=Reason.EXITED_WHILE_STARTING, line="srv: failed to do a new thing")


@given(st.text(), st.integers(0, 255), st.sampled_from(Phase))
def test_every_log_has_a_reason(log: str, code: int, phase: Phase) -> None:
    found = classify_exit(log, code, phase)
    assert len(found.line) <= 401
    assert "\n" not in found.line


@pytest.mark.parametrize(
    "line",
    [
        "warning: no usable GPU found, --gpu-layers option will be ignored",
        "warning: not compiled with GPU offload support, --gpu-layers option will be ignored",
        "ggml_cuda_init: failed to initialize CUDA: no CUDA-capable device is detected",
    ],
)
def test_a_server_on_the_cpu_does_not_count_when_a_gpu_was_asked_for(line: str) -> None:
    assert find_spoiling(f"a\n{line}\nb", wants_gpu=True) == Failure(reason=Reason.NO_DEVICE, line=line)
    assert find_spoiling(f"a\n{line}\nb", wants_gpu=False) is None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("E srv    send_error: task id = 3, error: Context size has been exceeded.", Reason.KV_CACHE_FULL),
        (
            "srv  update_slots: failed to decode the batch: KV cache is full - try increasing it",
            Reason.KV_CACHE_FULL,
        ),
        ("srv    send_error: task id = 3, error: Compute error.", Reason.COMPUTE_ERROR),
    ],
)
def test_request_errors_spoil_a_measurement(line: str, reason: Reason) -> None:
    assert find_spoiling(f"all well\n{line}\n", wants_gpu=False) == Failure(reason=reason, line=line)


def test_fallbacks_are_notes() -> None:
    notes = find_notes(
        "W llama_context: Flash Attention not supported, set to disabled\n"
        "W ggml_cuda_flash_attn_ext_vec: no FlashAttention vector kernel compiled for K/V types q4_0-q8_0, "
        "converting K and V to f16 instead (slow).\n"
        "W srv: failed to find free space in the KV cache, retrying with smaller batch size, i = 0\n"
    )
    assert len(notes) == 3
    assert "FlashAttention is off" in notes[0]
    assert "q4_0-q8_0" in notes[1]
    assert find_notes("all well") == ()


def test_errors_say_what_where_and_what_to_do() -> None:
    failure = Failure(reason=Reason.OUT_OF_DEVICE_MEMORY, line="cudaMalloc failed: out of memory")
    error = failure_error(failure, exit_code=1, phase=Phase.STARTING, log=Path("/t/server.log"))
    assert isinstance(error, LaunchFailed)
    assert str(error) == (
        "llama-server exited with code 1 while starting: cudaMalloc failed: out of memory; less context,"
        " fewer slots or fewer layers on the GPU would fit; the log is /t/server.log"
    )
    assert (error.reason, error.log) == ("out-of-device-memory", "/t/server.log")


def test_the_kind_of_error_follows_the_phase_and_the_reason() -> None:
    killed = Failure(reason=Reason.KILLED, line="")
    under_load = failure_error(killed, exit_code=137, phase=Phase.SERVING, log=Path("l"))
    assert isinstance(under_load, LoadFailed)
    assert "was ended by SIGKILL under load: its log says nothing of it" in str(under_load)
    refused = Failure(reason=Reason.ARGUMENT_VALUE, line="x")
    assert isinstance(
        failure_error(refused, exit_code=1, phase=Phase.STARTING, log=Path("l")), ArgumentRefused
    )
    running = Failure(reason=Reason.NO_DEVICE, line="no usable GPU found")
    assert "runs, but: no usable GPU" in str(
        failure_error(running, exit_code=None, phase=Phase.STARTING, log=Path("l"))
    )
