"""The event that nearly every token comes in, recognised without a parser. No I/O.

Parsing HTTP, event stream and JSON costs six times as much a token as this does, and at thousands of tokens a
second decoding would cost as much as receiving. So one expression spells out, byte by byte, what llama-server
writes for a token of /completion, with HTTP's chunked framing around it: whatever matches is what the parsers
would have taken for a token, and whatever does not, however small the difference, is left to them. It saves
time and decides nothing: `tests/unit/load/test_plain.py` holds the two against each other.

The order of the keys is that of `server_task_result_cmpl_partial::to_json_non_oaicompat` (llama.cpp's
tools/server). A server that changes it is decoded as before, only slower.
"""

from __future__ import annotations

import re
from typing import Final

_INT: Final = rb"-?+(?:[1-9][0-9]{0,17}+|0)"
# Non-empty; what JSON forbids in a string is left out, and UTF-8 is checked apart.
_TEXT: Final = rb'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))++"'

_CHUNK: Final = re.compile(
    rb'([0-9a-f]{1,6})\r\n(data: \{"index":%(int)b,"content":%(text)b,"tokens":\[(?:%(int)b(?:,%(int)b)*)?\],'
    rb'"stop":false,"id_slot":%(int)b,"tokens_predicted":%(int)b,"tokens_evaluated":%(int)b\}\n\n)\r\n'
    % {b"int": _INT, b"text": _TEXT}
)


def count_plain(received: bytes, max_line_bytes: int) -> tuple[int, int]:
    """How many whole token events `received` begins with, and how many bytes they take.

    Right only where `received` begins with a chunk of a body in chunked framing, and no event is under way.
    """
    events, end, length = 0, 0, len(received)
    in_ascii = received.isascii()
    while end < length and (found := _CHUNK.match(received, end)) is not None:
        size, event = found.groups()
        if int(size, 16) != len(event) or len(event) > max_line_bytes:
            break
        if not (in_ascii or _is_utf8(event)):
            break
        events += 1
        end = found.end()
    return events, end


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
