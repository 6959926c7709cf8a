"""Relations such as `ubatch-size <= batch-size` and `chat.ttft_p50_s <= 1.2 * baseline`.

One comparison between two arithmetic terms, parsed by a grammar and never by `eval`:

    names        letters, digits and _, joined by single hyphens or dots: `ubatch-size`, `load.error_rate`
    numbers      `2`, `0.5`, `1e-3`
    text         `"on"` or `'on'`, and the switches `true` and `false`: only with == and !=
    arithmetic   + - * / and parentheses; a subtraction needs spaces around its sign, because a hyphen
                 without them belongs to a name
    comparison   <= < >= > == !=, exactly one

What cannot be computed does not hold: a division by zero, an overflow or an undefined result (infinity
minus infinity) makes the violation infinite.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, cast

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedInput, UnexpectedToken, v_args

from tuner.errors import UserError

Value = bool | int | float | str

MAX_LENGTH: Final = 500
MAX_DEPTH: Final = 50
STRICT_MARGIN: Final = 1e-12
"""The violation of `a < b` when both are equal: positive, because zero would mean that it holds."""

_GRAMMAR: Final = r"""
    ?start: comparison
    comparison: sum COMPARE sum
    ?sum: product | sum ADD product -> binary
    ?product: unary | product MULTIPLY unary -> binary
    ?unary: atom | "-" unary -> negation
    ?atom: NUMBER -> number
        | TEXT -> text
        | SWITCH -> switch
        | NAME -> name
        | "(" sum ")"
    COMPARE: "<=" | ">=" | "==" | "!=" | "<" | ">"
    ADD: "+" | "-"
    MULTIPLY: "*" | "/"
    SWITCH.2: /(true|false)(?![A-Za-z0-9_.-])/
    NAME: /[A-Za-z_][A-Za-z0-9_]*(?:[.-][A-Za-z0-9_]+)*/
    NUMBER: /(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?/
    TEXT: /"[^"\n]*"|'[^'\n]*'/
    %ignore /[ \t\r\n]+/
"""

_OPERAND: Final = frozenset({"NUMBER", "TEXT", "SWITCH", "NAME", "LPAR", "MINUS"})


class ExpressionError(UserError):
    """An expression that cannot be parsed, or evaluated with these values.

    `column` counts from 1 and is None when no single place is at fault.
    """

    def __init__(self, message: str, *, column: int | None = None) -> None:
        self.column = column
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class _Constant:
    value: Value


@dataclass(frozen=True, slots=True)
class _Name:
    name: str


@dataclass(frozen=True, slots=True)
class _Negation:
    operand: _Term


@dataclass(frozen=True, slots=True)
class _Binary:
    operator: str
    left: _Term
    right: _Term


_Term = _Constant | _Name | _Negation | _Binary


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """A parsed comparison. Two are equal when they mean the same, whatever their spacing."""

    operator: str
    left: _Term
    right: _Term

    @property
    def names(self) -> frozenset[str]:
        """Every name that needs a value."""
        return frozenset(
            node.name for side in (self.left, self.right) for node in _walk(side) if isinstance(node, _Name)
        )

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Whether the comparison is true. Raises ExpressionError as `violation` does."""
        return self.violation(values) <= 0

    def violation(self, values: Mapping[str, Value]) -> float:
        """By how much the comparison fails, in the unit of its sides; <= 0 means that it holds. Never NaN.

        `a <= b` gives a - b, `a >= b` gives b - a, `a == b` the distance; text and switches give 0 or 1.
        Infinite when a side cannot be computed. Raises ExpressionError when a name has no value, or when
        text or a switch meets arithmetic or an ordering.
        """
        left = _evaluate(self.left, values)
        right = _evaluate(self.right, values)
        if isinstance(left, float) and isinstance(right, float):
            return _numeric_violation(self.operator, left, right)
        if self.operator not in ("==", "!="):
            shown = left if not isinstance(left, float) else right
            raise ExpressionError(
                f"{_show(shown)} cannot be ordered with {self.operator}; "
                "use == or != with text and with true or false"
            )
        same = type(left) is type(right) and left == right
        return 0.0 if same == (self.operator == "==") else 1.0

    def __str__(self) -> str:
        return f"{_write(self.left)} {self.operator} {_write(self.right)}"


def parse(text: str) -> Expression:
    """Parse one comparison. Raises ExpressionError with the column and what was expected there."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"the expression is {len(text)} characters long; at most {MAX_LENGTH} are read")
    try:
        return cast(Expression, _parser().parse(text))
    except UnexpectedInput as error:
        raise _explain(text, error) from error


@cache
def _parser() -> Lark:
    # A transformer inside the parser runs at each reduction, so that hostile nesting cannot recurse.
    return Lark(_GRAMMAR, parser="lalr", maybe_placeholders=False, transformer=_ToTerms())


@v_args(inline=True)
class _ToTerms(Transformer[Token, Expression]):
    """Builds our terms in place of lark's tree, and bounds their depth."""

    def number(self, token: Token) -> _Term:
        value = float(token)
        if not math.isfinite(value):
            raise ExpressionError(f"column {token.column}: {token} is too large", column=token.column)
        return _Constant(value)

    def text(self, token: Token) -> _Term:
        return _Constant(str(token)[1:-1])

    def switch(self, token: Token) -> _Term:
        return _Constant(str(token).startswith("t"))

    def name(self, token: Token) -> _Term:
        return _Name(str(token))

    def negation(self, operand: _Term) -> _Term:
        return _Negation(operand)

    def binary(self, left: _Term, operator: Token, right: _Term) -> _Term:
        return _Binary(str(operator), left, right)

    def comparison(self, left: _Term, operator: Token, right: _Term) -> Expression:
        if max(_depth(left), _depth(right)) > MAX_DEPTH:
            raise ExpressionError(f"the expression is nested more than {MAX_DEPTH} levels deep; simplify it")
        return Expression(operator=str(operator), left=left, right=right)


def _children(term: _Term) -> tuple[_Term, ...]:
    match term:
        case _Negation(operand):
            return (operand,)
        case _Binary(_, left, right):
            return (left, right)
        case _:
            return ()


def _walk(term: _Term) -> Iterator[_Term]:
    stack = [term]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(_children(node))


def _depth(term: _Term) -> int:
    """Levels of the tree, counted without recursion because the tree is not yet known to be shallow."""
    deepest, level = 0, [term]
    while level:
        deepest += 1
        level = [child for node in level for child in _children(node)]
    return deepest


def _evaluate(term: _Term, values: Mapping[str, Value]) -> float | str | bool:
    """A side's value: every number as a float, inf or nan where it cannot be computed."""
    match term:
        case _Constant(value):
            return _as_operand(value)
        case _Name(name):
            if name not in values:
                raise ExpressionError(f"there is no value for {name!r}")
            return _as_operand(values[name])
        case _Negation(operand):
            return -_number(operand, values)
        case _Binary(operator, left, right):
            a, b = _number(left, values), _number(right, values)
            if operator == "+":
                return a + b
            if operator == "-":
                return a - b
            if operator == "*":
                return a * b
            return a / b if b else math.nan


def _as_operand(value: Value) -> float | str | bool:
    if isinstance(value, bool | str):
        return value
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _number(term: _Term, values: Mapping[str, Value]) -> float:
    value = _evaluate(term, values)
    if not isinstance(value, float):
        raise ExpressionError(f"{_show(value)} is not a number, so there is no arithmetic with it")
    return value


def _numeric_violation(operator: str, left: float, right: float) -> float:
    if not (math.isfinite(left) and math.isfinite(right)):
        return math.inf
    match operator:
        case "<=":
            return left - right
        case ">=":
            return right - left
        case "<":
            return left - right if left != right else STRICT_MARGIN
        case ">":
            return right - left if left != right else STRICT_MARGIN
        case "==":
            return abs(left - right)
        case _:
            return 0.0 if left != right else 1.0


def _show(value: float | str | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, str) else f"{value:g}"


def _write(term: _Term) -> str:
    match term:
        case _Constant(value):
            if isinstance(value, float):
                return str(int(value)) if value.is_integer() and value < 1e15 else repr(value)
            # A quoted text cannot hold its own quotation mark, so the other one is free.
            return f'"{value}"' if isinstance(value, str) and '"' not in value else _show(value)
        case _Name(name):
            return name
        case _Negation(operand):
            return f"-{_grouped(operand)}"
        case _Binary(operator, left, right):
            return f"{_grouped(left)} {operator} {_grouped(right)}"


def _grouped(term: _Term) -> str:
    return f"({_write(term)})" if isinstance(term, _Binary) else _write(term)


def _explain(text: str, error: UnexpectedInput) -> ExpressionError:
    if isinstance(error, UnexpectedToken):
        found = "the expression ends" if error.token.type == "$END" else f"found {str(error.token)!r}"
        expected = set(error.expected)
    elif isinstance(error, UnexpectedCharacters):
        found = f"found {error.char!r}"
        expected = set(error.allowed or ())
    else:  # pragma: no cover - lark's lalr parser raises no other kind
        found, expected = "cannot be read", set()
    at_end = isinstance(error, UnexpectedToken) and error.token.type == "$END"
    position = len(text) if at_end else (error.pos_in_stream or 0)
    column = position + 1
    single_equals = text[position : position + 1] == "="
    expectation = "== (not =)" if single_equals else _expectation(expected, text[:position])
    return ExpressionError(f"column {column}: {found}, expected {expectation}", column=column)


def _expectation(expected: set[str], before: str) -> str:
    """lark's terminals in words. Its parser merges states, so what it expects may be a little too much."""
    if expected & _OPERAND and not expected & {"COMPARE", "$END"}:
        return "a name, a number, a quoted text or '('"
    open_group = before.count("(") > before.count(")")
    compared = any(sign in before for sign in "<>=")
    wanted = ["an operator + - * /"]
    if open_group:
        wanted.append("')'")
    elif compared:
        wanted.append("the end (one comparison only)")
    else:
        wanted.append("one of <= < >= > == !=")
    return " or ".join(wanted)
