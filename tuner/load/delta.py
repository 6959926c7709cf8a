"""What one chunk of a chat stream holds. No I/O.

The shape is OpenAI's chat completion chunk; `reasoning_content` is how llama-server, as others, sends what a
model thinks before it answers (`common/chat.cpp` of llama.cpp).
"""

from __future__ import annotations

from typing import Any, Final

_CONTENT: Final = ("content", "reasoning_content", "tool_calls")


def read_delta(chunk: dict[str, Any]) -> tuple[bool, bool]:
    """Whether the chunk brings something generated, and whether that is of the answer and no reasoning.

    The first chunk says only whose turn it is, the last why it ended: neither brings anything. A call of a
    tool is an answer.
    """
    choices = chunk.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    delta = choice.get("delta") if isinstance(choice, dict) else None
    if not isinstance(delta, dict):
        return False, False
    said = any(delta.get(name) for name in _CONTENT)
    return said, bool(delta.get("content") or delta.get("tool_calls"))
