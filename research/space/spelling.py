"""The vocabulary as a model reads it: a line for each group and key, each range as short as it can be typed.

What the options of one group share is said once, and what no choice in the vocabulary can have is not said.
"""

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from research.compose.compose import Resolved
from research.compose.override import spelt, values_of
from research.space.conditions import condition, family

READ = (
    "A line is `group=options` or `key: range`: `a..b` with both ends, log where factors are tried; `a|b` "
    "all values; in brackets the options of its group that have the key (`cnn*`: cnn and all cnn_...); "
    "then its default, and when it acts. `!` is a constraint."
)
"""how the vocabulary is read"""
_NAMED = re.compile(r"\b[a-z_]+\.[a-z_.]*[a-z_]")


def spelled(
    vocabulary: Mapping[str, Any],
    fixed: Sequence[str] = (),
    *,
    cards: bool = True,
    about: Sequence[str] | None = None,
) -> str:
    """The whole vocabulary, a line each; without `cards` what options and keys are for is left out.

    `about` are overrides to be changed: of each group the keys of the option that they choose are told.
    """
    held = values_of(fixed)
    told = [
        line
        for name, entry in vocabulary["groups"].items()
        if name not in held
        for line in _group(name, entry, cards)
    ]
    keys = {key: _key(key, entry, options, cards) for key, entry, options in _keys(vocabulary, held, about)}
    return "\n".join([*told, *keys.values(), *(f"! {say}" for say in _constraints(vocabulary, keys))])


def _constraints(vocabulary: Mapping[str, Any], keys: Container[str]) -> list[str]:
    """Those about groups and keys that are told."""
    told = vocabulary.get("constraints") or {}
    about = told if isinstance(told, Mapping) else dict.fromkeys(told, ())
    return [
        say
        for say, groups in about.items()
        if set(groups) <= vocabulary["groups"].keys()
        and all(key in keys for key in _NAMED.findall(say) if key in vocabulary["keys"])
    ]


def names(vocabulary: Mapping[str, Any], fixed: Sequence[str] = ()) -> str:
    """What may be turned by its names alone, which is enough to plan with."""
    held = values_of(fixed)
    open_groups = {name: entry for name, entry in vocabulary["groups"].items() if name not in held}
    choices = [line for name, entry in open_groups.items() for line in _group(name, entry, cards=False)]
    return "\n".join([*choices, " ".join(key for key, _, _ in _keys(vocabulary, held))])


def _keys(
    vocabulary: Mapping[str, Any], held: Mapping[str, str], about: Sequence[str] | None = None
) -> Iterable[tuple[str, Mapping[str, Any], Sequence[str]]]:
    """The keys that some choice has and that can act, each with the options of its group."""
    chosen = None if about is None else values_of(about)
    given = {key: entry.get("default") for key, entry in vocabulary.get("given", {}).items()}
    for key, entry in vocabulary["keys"].items():
        acts = _settled(entry.get("when", ""), given)
        if key in held or acts is False:
            continue
        group = vocabulary["groups"].get(entry["group"], {})
        options = [held[entry["group"]]] if entry["group"] in held else _offered(group)
        if chosen is not None and group and not group["several"]:
            options = [held.get(entry["group"]) or chosen.get(entry["group"]) or group["default"]]
        if entry["group"] is None or set(options) & entry["per"].keys():
            yield key, {**entry, "when": ""} if acts else entry, options


def _settled(when: str, given: Mapping[str, Any]) -> bool | None:
    """Whether a condition holds that reads only what nobody turns here; None for one that reads more."""
    if not when:
        return True
    asked = condition(when)
    if not set(asked.keys) <= given.keys():
        return None
    nested: dict[str, Any] = {}
    for key in asked.keys:
        *path, last = key.split(".")
        node = nested
        for part in path:
            node = node.setdefault(part, {})
        node[last] = given[key]
    return asked.acts(Resolved(nested, {}))


def _offered(entry: Mapping[str, Any]) -> list[str]:
    """The options of a group that are worth a line: without those tuned for other data."""
    elsewhere = entry.get("elsewhere", ())
    return [
        *(option for option in entry.get("options", ()) if option not in elsewhere),
        *entry.get("beside", {}),
    ]


def _group(name: str, entry: Mapping[str, Any], cards: bool) -> list[str]:
    """The options of a group and which is the default; a list of options is shown as it is typed."""
    beside, default = entry.get("beside", {}), entry["default"]
    if len(_offered(entry)) < 2 and not entry["several"]:
        return []
    shown = {
        option: f"{option} (only with {beside[option][0]})" if option in beside else option
        for option in _offered(entry)
    }
    now = f", default {spelt(default)}" if default is not None else ""
    how = "[a,b], one list of different options that act in this order" if entry["several"] else ""
    if not cards:
        return [f"{name}={how}{': ' * bool(how)}{'|'.join(shown.values())}{now}"]
    told = {option: beside[option][1] if option in beside else entry["options"][option] for option in shown}
    return [
        f"{name}={how}{now} - {entry['help']}:",
        *(f"  {shown[option]}: {card}" for option, card in told.items()),
    ]


def _key(key: str, entry: Mapping[str, Any], options: Sequence[str], cards: bool) -> str:
    """One key with its range, where that differs by option, when it acts, and what it is for."""
    per = {option: entry["per"][option] for option in options if option in entry["per"]}
    ranges: dict[str, list[str]] = {}
    for option, differs in per.items():
        ranges.setdefault(_range({**entry, **differs}), []).append(option)
    if len(ranges) > 1:
        said = "; ".join(f"{text} ({_families(some, options)})" for text, some in ranges.items())
    else:
        where = f" ({_families(per, options)})" if len(per) < len(options) and per else ""
        said = f"{next(iter(ranges), None) or _range(entry)}{where}"
    alone = per[options[0]] if len(options) == 1 and per else entry
    default, when = alone["default"], entry.get("when", "")
    now = "" if default is None else f", default {_short(default)}"
    acts = f", acts when {when}" if when else ""
    helps = f" - {entry['help']}" if entry.get("help") and (cards or entry["type"] == "text") else ""
    return f"{key}: {said}{now}{acts}{helps}"


def _families(some: Iterable[str], options: Sequence[str]) -> str:
    """Options by name; a family of which all are meant by its own with a star."""
    chosen, told = set(some), dict[str, None]()
    for option in options:
        if option in chosen:
            kin = [other for other in options if family(other) == family(option)]
            told[f"{family(option)}*" if len(kin) > 1 and chosen.issuperset(kin) else option] = None
    return ",".join(told)


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else spelt(value)


def _range(entry: Mapping[str, Any]) -> str:
    """The values that a key takes: `4..1024 log`, `relu|gelu`, `[0..0.9999,0..0.9999]`."""
    null = "|null" if entry.get("nullable") else ""
    match entry["type"]:
        case "enum":
            return "|".join(map(spelt, entry["of"])) + null
        case "bool":
            return f"true|false{null}"
        case "text":
            return f"text{null}"
        case "list":
            low, high = entry["length"]
            inner = _range(entry["of"])
            return (f"[{','.join([inner] * high)}]" if low == high else f"[]|[{inner}]") + null
    scale = " log" if entry.get("scale") == "log" else ""
    whole = "int " if entry["type"] == "int" else ""
    return f"{whole}{entry['low']:g}..{entry['high']:g}{scale}{null}"
