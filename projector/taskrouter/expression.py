"""TaskRouter's expressions: which workers a queue wants (`TargetWorkers`), over a worker's attributes.

    expression  = conjunction { "OR" conjunction }
    conjunction = condition { "AND" condition }
    condition   = "(" expression ")" | operand operator operand
    operator    = "==" | "=" | "!=" | "<>" | "<" | "<=" | ">" | ">=" | "HAS" | "CONTAINS" | "IN" | "NOT" "IN"
    operand     = string | number | "true" | "false" | "null" | list | key
    list        = "[" [ operand { "," operand } ] "]"
    key         = name { "." name | "[" digits "]" }

Words are read in any case. Strings stand between single or double quotes, a backslash takes the next character as it is. A key is
looked up in the attributes; one that is not there is null. (https://www.twilio.com/docs/taskrouter/expression-syntax)

Where the page is silent we decide: values of different types are never equal and never in order, so `x != 1` holds for a text; only
two numbers, two texts or two booleans have an order; `HAS` looks for a value in a list, `CONTAINS` also for a text in a text, `IN`
is `HAS` from the other side, and what is no list has nothing; one and true differ. An expression that cannot be read is nobody's
guess: `parse` says so, and whoever asked answers "unknown", not "nobody".
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from msgspec import Struct

MAX_LENGTH = 8_192  # Twilio's own limit for TargetWorkers is 1,024
INDEX_DIGITS = 9
MAX_DEPTH = 64  # parentheses and lists within each other

Value: TypeAlias = Any  # what JSON can say


class Unreadable(ValueError):
    """The text is no expression of TaskRouter's. The message says where, and never quotes the text: it may name people."""


class Constant(Struct, frozen=True):
    """A value that stands in the expression."""

    value: Value


class Key(Struct, frozen=True):
    """A place in the attributes: names and list indexes, outermost first."""

    path: tuple[str | int, ...]


class Listed(Struct, frozen=True):
    """A list of operands."""

    items: tuple["Operand", ...]


Operand: TypeAlias = Constant | Key | Listed


class Comparison(Struct, frozen=True):
    """`left operator right`; the operator in its one spelling (`==`, `!=`, `<`, …, `HAS`, `CONTAINS`, `IN`, `NOT IN`)."""

    left: Operand
    operator: str
    right: Operand


class All(Struct, frozen=True):
    """Conditions joined by AND."""

    conditions: tuple["Expression", ...]


class Some(Struct, frozen=True):
    """Conditions joined by OR."""

    conditions: tuple["Expression", ...]


Expression: TypeAlias = Comparison | All | Some


def parse(text: str) -> Expression:
    """The expression that the text is. Raises `Unreadable`."""
    if len(text) > MAX_LENGTH:
        raise Unreadable(f"It has {len(text)} characters; at most {MAX_LENGTH} are read.")
    return _Parser(_tokens(text)).whole()


@lru_cache(maxsize=1024)  # the same few queues are asked about again and again
def readable(text: str | None) -> Expression | None:
    """A queue's TargetWorkers as an expression; None when nobody told it, or it cannot be read."""
    try:
        return None if text is None else parse(text)
    except Unreadable:
        return None


def matches(expression: Expression, attributes: Mapping[str, Value]) -> bool:
    """Whether it holds for these attributes. Never raises."""
    match expression:
        case All(conditions):
            return all(matches(each, attributes) for each in conditions)
        case Some(conditions):
            return any(matches(each, attributes) for each in conditions)
        case Comparison(left, name, right):
            return _OPERATORS[name](_value(left, attributes), _value(right, attributes))


def _value(operand: Operand, attributes: Mapping[str, Value]) -> Value:
    match operand:
        case Constant(value):
            return value
        case Listed(items):
            return [_value(item, attributes) for item in items]
        case Key(path):
            found: Value = attributes
            for step in path:
                if isinstance(step, str) and isinstance(found, Mapping):
                    found = found.get(step)
                elif isinstance(step, int) and isinstance(found, list) and step < len(found):
                    found = found[step]
                else:
                    return None
            return found


def _kind(value: Value) -> type:
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)


def _equal(left: Value, right: Value) -> bool:
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    return _kind(left) is _kind(right) and bool(left == right)


def _ordered(compare: Callable[[Value, Value], bool]) -> Callable[[Value, Value], bool]:
    def holds(left: Value, right: Value) -> bool:
        return _kind(left) is _kind(right) and _kind(left) in (float, str, bool) and compare(left, right)

    return holds


def _has(left: Value, right: Value) -> bool:
    return isinstance(left, list) and any(_equal(item, right) for item in left)


def _contains(left: Value, right: Value) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return right in left
    return _has(left, right)


_OPERATORS: dict[str, Callable[[Value, Value], bool]] = {
    "==": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
    "HAS": _has,
    "CONTAINS": _contains,
    "IN": lambda left, right: _has(right, left),
    "NOT IN": lambda left, right: not _has(right, left),
}
_SPELLINGS = {"=": "==", "<>": "!="}
_WORDS = frozenset({"AND", "OR", "NOT", "IN", "HAS", "CONTAINS"})
_CONSTANTS: dict[str, Value] = {"TRUE": True, "FALSE": False, "NULL": None}

_TOKEN = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<number>-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w.]))
      | (?P<word>[^\W\d]\w*)
      | (?P<mark>==|!=|<>|<=|>=|[=<>()\[\],.])
      | (?P<blank>\s+)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class Token(Struct, frozen=True):
    """A piece of the text: its kind (`string`, `number`, `word`, `mark`; `end`), its text, and where it begins."""

    kind: str
    text: str
    place: int

    @property
    def keyword(self) -> str:
        """A word or mark as the grammar spells it; nothing for a name, a string or a number."""
        if self.kind == "word":
            return self.text.upper() if self.text.upper() in _WORDS else ""
        return _SPELLINGS.get(self.text, self.text) if self.kind == "mark" else ""


def _tokens(text: str) -> list[Token]:
    found, place = [], 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise Unreadable(f"Character {place + 1} begins nothing that TaskRouter's expressions have.")
        if match.lastgroup != "blank":
            found.append(Token(match.lastgroup, match[0], place))
        place = match.end()
    return [*found, Token("end", "", len(text.rstrip()))]


class _Parser:
    """One function for each rule of the grammar; each takes what it reads off the front."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens, self._at, self._depth = tokens, 0, 0

    def whole(self) -> Expression:
        expression = self._expression()
        if self._next.kind != "end":
            raise self._unexpected("AND, OR or the end")
        return expression

    def _expression(self) -> Expression:
        conditions = [self._conjunction()]
        while self._took("OR"):
            conditions.append(self._conjunction())
        return Some(tuple(conditions)) if len(conditions) > 1 else conditions[0]

    def _conjunction(self) -> Expression:
        conditions = [self._condition()]
        while self._took("AND"):
            conditions.append(self._condition())
        return All(tuple(conditions)) if len(conditions) > 1 else conditions[0]

    def _condition(self) -> Expression:
        if self._took("("):
            self._deeper()
            inner = self._expression()
            self._need(")")
            self._depth -= 1
            return inner
        left = self._operand()
        return Comparison(left, self._operator(), self._operand())

    def _operator(self) -> str:
        if self._took("NOT"):
            self._need("IN")
            return "NOT IN"
        name = self._next.keyword
        if name not in _OPERATORS:
            raise self._unexpected("a comparison")
        self._at += 1
        return name

    def _operand(self) -> Operand:
        token = self._next
        if self._took("["):
            return self._list()
        if token.kind in ("end", "mark") or token.keyword:
            raise self._unexpected("a value or a key")
        self._at += 1
        if token.kind == "string":
            return Constant(_ESCAPED.sub(r"\1", token.text[1:-1]))
        if token.kind == "number":
            return Constant(float(token.text))
        if token.text.upper() in _CONSTANTS:
            return Constant(_CONSTANTS[token.text.upper()])
        return self._key(token.text)

    def _list(self) -> Listed:
        self._deeper()
        items: list[Operand] = []
        while not self._took("]"):
            if items:
                self._need(",")
            items.append(self._operand())
        self._depth -= 1
        return Listed(tuple(items))

    def _key(self, first: str) -> Key:
        path: list[str | int] = [first]
        while True:
            if self._took("."):
                if self._next.kind != "word":
                    raise self._unexpected("a name")
                path.append(self._next.text)
                self._at += 1
            elif self._took("["):
                if not self._next.text.isdecimal() or len(self._next.text) > INDEX_DIGITS:
                    raise self._unexpected("a place in the list")
                path.append(int(self._next.text))
                self._at += 1
                self._need("]")
            else:
                return Key(tuple(path))

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _took(self, keyword: str) -> bool:
        if self._next.keyword != keyword:
            return False
        self._at += 1
        return True

    def _need(self, keyword: str) -> None:
        if not self._took(keyword):
            raise self._unexpected(keyword)

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Unreadable(f"It is nested deeper than {MAX_DEPTH}.")

    def _unexpected(self, wanted: str) -> Unreadable:
        return Unreadable(f"At character {self._next.place + 1} there should be {wanted}.")
