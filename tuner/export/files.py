"""The texts of an exported folder, each from the deployment alone."""

from __future__ import annotations

import re
import shlex

from tuner.errors import HostError
from tuner.export.deployment import MODELS, PORT, Deployment
from tuner.export.quoting import check_name, check_value, compose, dockerfile, dockerfile_words, shell

_GIT = re.compile(r"git\+(?P<url>.+)@(?P<commit>[0-9a-f]{40}|[0-9a-f]{64})(#.*)?")
_SDIST = re.compile(r"sdist:(?P<name>[^=]+)==(?P<version>.+)")


def dockerfile_text(shipped: str, deployment: Deployment) -> str:
    """The shipped Dockerfile with everything that the study decided written into it."""
    values = {
        "CMAKE_FLAGS": shlex.join(check_value(word, "a build flag") for word in deployment.cmake_flags),
        "LLAMA_COMMIT": deployment.origin,
    }
    chosen = {
        "BUILD_IMAGE": deployment.build_image,
        "RUNTIME_IMAGE": deployment.runtime_image,
        "BUILD_PACKAGES": deployment.build_packages,
        "RUNTIME_PACKAGES": deployment.runtime_packages,
    }
    values |= {name: value for name, value in chosen.items() if value is not None}
    text = shipped
    for name, value in values.items():
        text = _with_argument(text, name, value)
    text, found = re.subn(
        r"^CMD \[(?:[^\n]*\\\n)*[^\n]*\]\s*$",
        lambda _: f"CMD {dockerfile_words(deployment.container_words)}\n",
        text,
        count=1,
        flags=re.MULTILINE,
    )
    environment = "".join(
        f"ENV {check_name(name)}={dockerfile(value)}\n" for name, value in deployment.environment.items()
    )
    text, exposed = re.subn(r"^EXPOSE ", lambda _: f"{environment}EXPOSE ", text, count=1, flags=re.MULTILINE)
    if not found or not exposed:
        raise HostError("the Dockerfile of this installation is not tuner's own: install tuner again")
    head = (
        f"# {deployment.label} of study {deployment.study}, exported by tuner. Build it with build.sh.\n#\n"
    )
    return head + text


def _with_argument(text: str, name: str, value: str) -> str:
    """The default of every ARG of this name."""
    changed, count = re.subn(
        rf"^ARG {name}=.*$", lambda _: f"ARG {name}={dockerfile(value)}", text, flags=re.MULTILINE
    )
    if not count:
        raise HostError(f"the Dockerfile of this installation has no ARG {name}: install tuner again")
    return changed


def build_script(deployment: Deployment) -> str:
    """Fetches the pinned source and builds the image."""
    lines = [
        "#!/bin/sh",
        f"# Builds {deployment.image} from the source that was measured. A tree that is there: SOURCE=/path.",
        "set -eu",
        'here="$(cd "$(dirname "$0")" && pwd)"',
        'work="$(mktemp -d)"',
        "trap 'rm -rf \"$work\"' EXIT",
        'if [ -z "${SOURCE:-}" ]; then',
        *(f"  {line}" for line in _fetch(deployment)),
        "fi",
        f'DOCKER_BUILDKIT=1 docker build --file "$here/Dockerfile" --tag {shell(deployment.image)} '
        '"$@" "$SOURCE"',
    ]
    return "\n".join(lines) + "\n"


def _fetch(deployment: Deployment) -> list[str]:
    if found := _GIT.fullmatch(deployment.origin):
        return [
            'git init --quiet "$work/source"',
            f'git -C "$work/source" fetch --quiet --depth 1 -- {shell(found["url"])} {found["commit"]}',
            'git -C "$work/source" checkout --quiet FETCH_HEAD',
            f'SOURCE="$work/source"/{shell(deployment.subdir)}',
        ]
    if found := _SDIST.fullmatch(deployment.origin):
        requirement = shell(f"{found['name']}=={found['version']}")
        return [
            f'python3 -m pip download --quiet --no-deps --no-binary :all: --dest "$work" {requirement}',
            'mkdir "$work/source"',
            'tar -xzf "$work"/*.tar.gz --strip-components=1 -C "$work/source"',
            f'SOURCE="$work/source"/{shell(deployment.subdir)}',
        ]
    said = f"the source was a folder ({deployment.origin}, content {deployment.content_hash[:12]})"
    return [f"echo {shell(said + ': name it by SOURCE=/path')} >&2", "exit 2"]


def run_script(deployment: Deployment) -> str:
    """Starts a llama-server of this host; further arguments are passed on and win."""
    exports = [f"export {check_name(name)}={shell(value)}" for name, value in deployment.environment.items()]
    lines = [
        "#!/bin/sh",
        f"# {deployment.label} of study {deployment.study}, exported by tuner.",
        "#   LLAMA_SERVER=/path/to/llama-server MODEL=/path/to/model.gguf ./run.sh [more arguments]",
        "set -eu",
        *exports,
        f'[ -n "${{MODEL:-}}" ] || MODEL={shell(deployment.model_file)}',
        f'exec "${{LLAMA_SERVER:-llama-server}}" --model "$MODEL" {_shell_words(deployment)}"$@"',
    ]
    return "\n".join(lines) + "\n"


def _shell_words(deployment: Deployment) -> str:
    return "".join(f"{shell(word)} " for word in deployment.words)


def preset_text(deployment: Deployment) -> str | None:
    """For `llama-server --models-preset`; None when this version has none, or the format cannot say it.

    Follows parse_ini_from_file in llama.cpp's common/preset.cpp (llama-cpp-python 0.3.36): there are no
    quotes, a comment may begin anywhere, and blanks around a value are dropped.
    """
    values = (("model", deployment.model_file), *deployment.settings)
    if not deployment.reads_presets or any(not _plain(value) for _, value in values):
        return None
    lines = [
        f"; {deployment.label} of study {deployment.study}, exported by tuner.",
        ";   llama-server --models-preset preset.ini",
        "version = 1",
        "",
        f"[{deployment.name}]",
        *(f"{name} = {value}" for name, value in values),
    ]
    return "\n".join(lines) + "\n"


def _plain(value: str) -> bool:
    return bool(value) and value == value.strip() and not set(value) & set(";#")


def compose_text(deployment: Deployment) -> str:
    """One hardened service."""
    scratch = "rw,noexec,nosuid,nodev,size=64m"
    cache = "rw,nosuid,nodev,size=1g,uid=10001,gid=10001,mode=700"
    lines = [
        f"# {deployment.label} of study {deployment.study}, exported by tuner.",
        "#   sh build.sh && MODELS=/path/to/models docker compose up -d",
        "services:",
        "  llama:",
        f"    image: {compose(deployment.image)}",
        "    command:",
        *(f"      - {compose(word)}" for word in deployment.container_words),
    ]
    if deployment.environment:
        lines.append("    environment:")
        lines += [
            f"      {check_name(name)}: {compose(value)}" for name, value in deployment.environment.items()
        ]
    if deployment.gpu:
        lines += [
            "    deploy:",
            "      resources:",
            "        reservations:",
            "          devices:",
            '            - {driver: nvidia, device_ids: ["${GPU_ID:-0}"], capabilities: [gpu]}',
        ]
    lines += [
        '    user: "10001:10001"',
        "    init: true",
        "    read_only: true",
        "    cap_drop: [ALL]",
        '    security_opt: ["no-new-privileges:true"]',
        "    tmpfs:",
        f"      - /tmp:{scratch}",
        *([f"      - /var/cache/llama:{cache}"] if deployment.gpu else []),
        "    ulimits:",
        "      memlock: {soft: -1, hard: -1}",
        "      core: 0",
        "    pids_limit: 4096",
        "    volumes:",
        "      - type: bind",
        '        source: "${MODELS:?the folder with the model}"',
        f"        target: {MODELS}",
        "        read_only: true",
        f'    ports: ["127.0.0.1:${{PORT:-{PORT}}}:{PORT}"]',
        "    restart: unless-stopped",
    ]
    return "\n".join(lines) + "\n"
