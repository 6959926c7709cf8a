"""Values in other languages: the shell, a Dockerfile, a compose file. What none can say safely is refused."""

from __future__ import annotations

import json
import re
import shlex

from tuner.errors import UserError

_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check_value(value: str, where: str) -> str:
    """`value`, if every one of the languages can hold it. Raises UserError for control characters."""
    if _CONTROL.search(value):
        raise UserError(
            f"{where} cannot be exported: {value!r} holds a line break or another control character"
        )
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{where} cannot be exported: {value!r} is not text") from error
    return value


def check_name(name: str) -> str:
    """A variable's name. Raises UserError for what a shell would not take for one."""
    if not _NAME.fullmatch(name):
        raise UserError(f"{name!r} cannot be exported: it is no name of an environment variable")
    return name


def shell(value: str) -> str:
    """One word for a POSIX shell."""
    return shlex.quote(check_value(value, "a value"))


def dockerfile(value: str) -> str:
    """A value after ARG or ENV in a Dockerfile: nothing in it is expanded."""
    escaped = re.sub(r'(["\\$])', r"\\\1", check_value(value, "a value"))
    return f'"{escaped}"'


def dockerfile_words(words: tuple[str, ...]) -> str:
    """The exec form of CMD; no shell and no variable has a part in it."""
    return json.dumps([check_value(word, "an argument") for word in words], ensure_ascii=False)


def compose(value: str) -> str:
    """A string in a compose file: YAML takes JSON's but for surrogate pairs, and `$$` is compose's `$`."""
    text = json.dumps(check_value(value, "a value").replace("$", "$$"), ensure_ascii=False)
    return "".join(c if ord(c) < 0x7F else f"\\U{ord(c):08x}" for c in text)
