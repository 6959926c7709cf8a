#!/bin/sh
# trial 7 of study night, exported by tuner.
#   LLAMA_SERVER=/path/to/llama-server MODEL=/path/to/model.gguf ./run.sh [more arguments]
set -eu
export GGML_CUDA_DISABLE_GRAPHS=1
[ -n "${MODEL:-}" ] || MODEL=model.gguf
exec "${LLAMA_SERVER:-llama-server}" --model "$MODEL" --ctx-size 8192 --parallel 4 --flash-attn on --fit off "$@"
