"""Conditions between keys, `require` of constraints and `when` of knobs, in a language too small to harm.

`model.width % model.heads == 0` reads dotted keys of the resolved config. Beside arithmetic (without powers),
comparisons, `and`, `or`, `not`, numbers, texts, lists and `key[-1]` there are `has(key)`, `chosen(group)`,
`family(group)`, `len`, `min`, `max` and `abs`. A constraint on a key that the chosen options do not have does
not apply.
"""

import ast
import json
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, final

from refusal import Refusal
from research.compose.compose import Resolved, at, holds

ASKED = re.compile(r"\b(?:chosen|family|has)\(([a-z_]+)")
"""the groups whose choice a constraint asks for"""
_BINARY: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}
_UNARY: dict[type[ast.AST], Callable[[Any], Any]] = {ast.Not: operator.not_, ast.USub: operator.neg}
_FUNCTIONS: dict[str, Callable[..., Any]] = {"len": len, "min": min, "max": max, "abs": abs}
_NAMES = {"has", "chosen", "family"}
Term = Callable[[Resolved], Any]


@final
@dataclass(frozen=True)
class Rule:
    """What must hold of every point, when it applies, and the sentence that says so."""

    require: Term
    when: Term
    keys: tuple[str, ...]
    say: str
    about: frozenset[str] = frozenset()
    """the groups that it reads or asks for"""

    def complaint(self, point: Resolved) -> str | None:
        """The sentence with the values that broke it, or None."""
        if not all(holds(point.config, key) for key in self.keys):
            return None
        try:
            kept = not self.when(point) or bool(self.require(point))
        except (TypeError, ZeroDivisionError, OverflowError, LookupError):
            kept = False  # a value that cannot be judged has not passed
        if kept:
            return None
        values = ", ".join(f"{key}={at(point.config, key)!a}" for key in self.keys)
        return f"{self.say} (here {values})." if values else f"{self.say}."


def family(option: Any) -> Any:
    """The option that a tuned one belongs to: `lion_digits` is of the family `lion`."""
    return option.partition("_")[0] if isinstance(option, str) else option


def constraint(entry: Mapping[str, str]) -> Rule:
    """Compile one entry of the space file: `require`, `say`, and `when` if it applies at times only."""
    if not {"require", "say"} <= entry.keys() <= {"require", "say", "when"}:
        raise Refusal(f"A constraint has require, say and perhaps when, not {', '.join(sorted(entry))}.")
    keys: dict[str, None] = {}
    require = compiled(entry["require"], keys)
    when = compiled(entry.get("when", "True"), keys)
    asked = ASKED.findall(f"{entry['require']} {entry.get('when', '')}")
    about = frozenset([*(key.partition(".")[0] for key in keys), *asked])
    return Rule(require, when, tuple(keys), entry["say"].rstrip("."), about)


def compiled(text: str, keys: dict[str, None]) -> Term:
    """The expression as a function of a point; adds the keys that it reads. Raises `Refusal`."""
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise Refusal(f"The constraint {text!a} is not an expression: {error}.") from error
    return _term(tree, text, keys)


def _term(node: ast.AST, text: str, keys: dict[str, None]) -> Term:
    """One node as a function of the point; collects the keys that it reads."""
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None as value):
            return lambda point: value
        case ast.List(elts=items) | ast.Tuple(elts=items):
            terms = [_term(item, text, keys) for item in items]
            return lambda point: [term(point) for term in terms]
        case ast.Name() | ast.Attribute():
            key = _key(node, text)
            keys[key] = None
            return lambda point: at(point.config, key)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return _call(name, arguments, text, keys)
        case ast.Subscript(value=inner, slice=place):
            return _pair(operator.getitem, _term(inner, text, keys), _term(place, text, keys))
        case _:
            return _operation(node, text, keys)


def _operation(node: ast.AST, text: str, keys: dict[str, None]) -> Term:
    match node:
        case ast.UnaryOp(op=op, operand=inner) if type(op) in _UNARY:
            term, act = _term(inner, text, keys), _UNARY[type(op)]
            return lambda point: act(term(point))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _pair(_BINARY[type(op)], _term(left, text, keys), _term(right, text, keys))
        case ast.Compare(left=left, ops=ops, comparators=rest) if all(type(op) in _BINARY for op in ops):
            terms = [_term(item, text, keys) for item in (left, *rest)]
            links = [_pair(_BINARY[type(op)], *terms[at : at + 2]) for at, op in enumerate(ops)]
            return lambda point: all(link(point) for link in links)
        case ast.BoolOp(op=op, values=values):
            join = all if isinstance(op, ast.And) else any
            parts = [_term(item, text, keys) for item in values]
            return lambda point: join(part(point) for part in parts)
        case _:
            raise Refusal(f"The constraint {text!a} uses {type(node).__name__}, which is not allowed.")


def _pair(act: Callable[[Any, Any], Any], left: Term, right: Term) -> Term:
    return lambda point: act(left(point), right(point))


def _call(name: str, arguments: list[ast.expr], text: str, keys: dict[str, None]) -> Term:
    if name in _NAMES and len(arguments) == 1:
        subject = _key(arguments[0], text)
        if name == "has":
            return lambda point: holds(point.config, subject)
        if name == "family":
            return lambda point: family(point.choices.get(subject))
        return lambda point: point.choices.get(subject)
    if name not in _FUNCTIONS:
        raise Refusal(f"The constraint {text!a} calls {name}: try has, chosen, family, len, min, max, abs.")
    function, terms = _FUNCTIONS[name], [_term(item, text, keys) for item in arguments]
    return lambda point: function(*(term(point) for term in terms))


def _key(node: ast.AST, text: str) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=inner, attr=name):
            return f"{_key(inner, text)}.{name}"
        case _:
            raise Refusal(f"The constraint {text!a} must name keys as group.key.")


_OF_CHOICES = {"chosen", "family"}


@final
@dataclass(frozen=True)
class Condition:
    """What must hold for a knob to change anything, and the keys that this depends on."""

    keys: tuple[str, ...]
    term: Term

    def acts(self, point: Resolved) -> bool:
        """Whether the knob acts at a point, of which no choices are asked.

        It does where a key is missing or a value cannot be judged: what may differ is never taken for equal.
        """
        try:
            return bool(self.term(point))
        except (TypeError, ZeroDivisionError, OverflowError, LookupError):
            return True

    def idle(self, key: str, config: Mapping[str, Any]) -> str:
        """The sentence for a knob that does not act: what it would have to differ in."""
        values = ", ".join(f"{read}={_shown(at(config, read))}" for read in self.keys)
        return f"{key} has no effect with {values}"


@lru_cache(maxsize=256)
def condition(text: str) -> Condition:
    """Compile a `when`, in the language of constraints. Raises `Refusal` for what that does not have.

    `chosen` and `family` are refused: a trial's identity is made of its config, which knows no options.
    """
    keys: dict[str, None] = {}
    term = compiled(text, keys)
    called = (node.func for node in ast.walk(ast.parse(text, mode="eval")) if isinstance(node, ast.Call))
    if any(isinstance(function, ast.Name) and function.id in _OF_CHOICES for function in called):
        raise Refusal(f"The condition {text!a} asks which option was chosen: let it read a key instead.")
    return Condition(tuple(keys), term)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value).replace(" ", "")
