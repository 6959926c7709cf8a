"""The text on which answers are compared: the user's, or what the reference itself wrote."""

from __future__ import annotations

from pathlib import Path

from tuner.errors import UserError
from tuner.locking import write_whole
from tuner.quality.prompts import PROMPTS
from tuner.quality.server import Server, ServerUnable

_MAX_BYTES = 64 << 20
_ANSWER_TOKENS = 400
_ROUNDS = 6
"""Answers to every prompt, at most, each with a seed of its own."""


def read_text(path: Path) -> str:
    """Raises UserError for what is not a file of text."""
    try:
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "does not exist"
            raise UserError(f"the text for quality, {path}, {what}: give a file of text")
        if path.stat().st_size > _MAX_BYTES:
            raise UserError(f"the text for quality, {path}, is larger than 64 MiB: a few pages are enough")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"the text for quality, {path}, is not UTF-8: save it as UTF-8") from error
    except OSError as error:
        raise UserError(f"the text for quality, {path}, cannot be read: {error.strerror}") from error
    if not text.strip():
        raise UserError(f"the text for quality, {path}, is empty: give some pages of text")
    return text


def write_text(base_url: str, into: Path, tokens: int) -> None:
    """Let a server answer the shipped prompts until there are more than `tokens` tokens; keep that in `into`.

    A model without a chat template goes on from the prompts instead.
    Answers end where the model ends them: forced on beyond that, a model writes what no user sees. They are
    sampled as the model's own distribution says, with fixed seeds. Raises UserError when that never is
    enough, HostError.
    """
    parts: list[str] = []
    have = 0
    with Server(base_url) as server:
        try:
            answer_to = server.write if server.chats() else server.go_on
            for number in range(_ROUNDS * len(PROMPTS)):
                prompt = PROMPTS[number % len(PROMPTS)]
                # A few to spare: parts are tokenised a little differently when they stand together.
                needed = tokens + len(parts) + 18 - have
                answer = answer_to(prompt, tokens=min(_ANSWER_TOKENS, needed), seed=number)
                parts.append(f"{prompt}\n\n{answer}\n\n")
                have += len(server.tokenize(parts[-1]))
                if have > tokens + len(parts) + 16:
                    write_whole(into, "".join(parts))
                    return
        except ServerUnable as error:
            raise UserError(
                f"the reference could not write the text for quality ({error}): give one with `quality.text`"
            ) from error
    raise UserError(
        f"the reference wrote {have} tokens in {len(parts)} answers, and quality needs {tokens}: give a "
        "text with "
        "`quality.text`, or lower `quality.chunks`"
    )
