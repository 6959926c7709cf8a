#!/bin/sh
# Builds llama-server-night:trial-7 from the source that was measured. A tree that is there: SOURCE=/path.
set -eu
here="$(cd "$(dirname "$0")" && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
if [ -z "${SOURCE:-}" ]; then
  python3 -m pip download --quiet --no-deps --no-binary :all: --dest "$work" llama-cpp-python==0.3.36
  mkdir "$work/source"
  tar -xzf "$work"/*.tar.gz --strip-components=1 -C "$work/source"
  SOURCE="$work/source"/vendor/llama.cpp
fi
DOCKER_BUILDKIT=1 docker build --file "$here/Dockerfile" --tag llama-server-night:trial-7 "$@" "$SOURCE"
