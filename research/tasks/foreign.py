"""Keys that were typed to the command, or the task, that does not take them: what to type instead."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from refusal import Refusal
from research.compose.compose import holds
from research.compose.override import Odd, is_open, override, read
from research.compose.typed import parts
from research.tasks.task import (
    PERHAPS,
    USUAL,
    Task,
    composer,
    key_of,
    listed,
    named_tasks,
    near,
    spoken,
    tasks,
    top_of,
    typed_plainly,
    unknown,
)

_OF_ALL = "base"
"""the key of agent.py that hands overrides on to every trial"""
_INSTEAD = {
    "logger": "write quiet=[{text}], which changes no result",
    "score": "name what is wanted in the goal, or as objective.metric={value}",
    "force": "a campaign runs no trial twice; python train.py ... force=true runs one again",
    "ckpt_path": "a campaign's trials begin anew; python train.py ... {text} runs one from there",
}
"""keys of train.py that `base` is not for -> what is"""


def refuse_foreign(typed: Sequence[str], conf: Path) -> None:
    """Raise `Refusal` for a task that does not exist, and for the first key that its task does not take."""
    everyone = tasks(composer(conf).files)
    for name in (named_tasks(typed) or [USUAL])[-1].split(","):
        if name not in everyone:
            raise unknown(name, everyone)
        asked = everyone[name]
        others = [text for text in filter(typed_plainly, typed) if top_of(text) not in asked.keys]
        if others and _OF_ALL in asked.keys:
            refuse_trials(others, typed, conf)
        if others:
            raise _foreign(asked, key_of(others[0]).partition(".")[0], everyone)


def refuse_trials(others: Sequence[str], typed: Sequence[str], conf: Path) -> None:
    """Raise `Refusal` where train.py takes the first of `others`: with the line that hands all such on."""
    train, own = composer(conf, "train"), composer(conf).composed({}).tree.keys()
    tree = train.composed({}).tree
    tops = (tree.keys() | train.chosen) - own
    of_trials = [text for text in others if holds(tree, key_of(text)) or _group(text) in tops]
    if others[0] not in of_trials:
        return
    text, group = others[0], _group(others[0])
    if group in _INSTEAD:
        advice = _INSTEAD[group].format(text=text, value=override(text).value)
        raise Refusal(f"{group} is a key of train.py's: {advice}.")
    handed = [text for text in of_trials if _group(text) not in _INSTEAD]
    said = next((str(override(text).value) for text in typed if key_of(text) == _OF_ALL), "[]")
    both = [*parts(said.removeprefix("[").removesuffix("]")), *handed]
    raise Refusal(
        f"{key_of(text)[:60]} is a key of train.py's, which {_OF_ALL} hands on to every trial: "
        f"write {_OF_ALL}=[{','.join(both)}]."
    )


def _group(text: str) -> str:
    return key_of(text).partition(".")[0].partition("/")[0]


def refuse_misfits(typed: Sequence[str], conf: Path, root: str = "agent") -> None:
    """Raise `Refusal` for a group that is given no one option of it, and for a value where keys belong."""
    here = composer(conf, root)
    for text in typed:
        here.refuse_added(text)
        here.refuse_removed(text)
    for text in filter(typed_plainly, typed):
        here.refuse_misfit(text)


def refuse_absent(typed: Sequence[str], conf: Path, root: str = "agent") -> None:
    """Raise `Refusal` for a key that the chosen options do not have, as `budget.sconds`."""
    here = composer(conf, root)
    plain = list(filter(typed_plainly, typed))
    chosen = [text for text in plain if key_of(text) in here.groups]
    strange = [text for text in chosen if key_of(text) not in here.chosen and key_of(text) != "experiment"]
    if strange and root == "agent":
        refuse_trials(strange, typed, conf)
    tree = here.sketch(chosen).config
    for text in (text for text in plain if text not in chosen):
        node: Any = tree
        before = ""
        names = key_of(text).split(".")
        for part in names[:2] if is_open(key_of(text)) else names:
            if isinstance(node, dict) and part not in node:
                if root == "agent":
                    refuse_trials([text], typed, conf)
                known = near(f"{before}{part}", [f"{before}{known}" for known in node])
                raise Refusal(
                    f"there is no {key_of(text)[:60]}{known}: {before[:-1]} takes {listed(list(node))}."
                )
            node, before = node.get(part) if isinstance(node, dict) else None, f"{before}{part}."


def refuse_campaigns(typed: Sequence[str], conf: Path) -> None:
    """Raise `Refusal` for what was typed to train.py and is no key of it, with agent.py's line if it has it.

    Not where flags name another folder of options, which may have any key.
    """
    if any(text.lstrip("+").startswith(("--config", "-c", "hydra.searchpath")) for text in typed):
        return
    here = composer(conf, "train")
    known = {*here.composed({}).tree, *here.chosen}
    plain = [text for text in typed if typed_plainly(text)]
    others = [text for text in plain if _group(text) not in known]
    if not others:
        if not any(text.startswith("-") for text in typed):
            _refuse_sweeps(plain)
            refuse_absent(typed, conf, "train")
        return
    campaigns = {key for task in tasks(composer(conf).files).values() for key in task.keys} | {"task"}
    group = _group(others[0])
    if top_of(others[0]) not in campaigns:
        raise Refusal(
            f"train.py takes no {group[:60]}{near(group, sorted(known))}: "
            "python train.py --help lists every option and key."
        )
    handed = [text for text in plain if text not in others and _group(text) not in ("store", "root", "seed")]
    own = [text for text in plain if text not in handed]
    line = [*own, *([f"{_OF_ALL}=[{','.join(handed)}]"] if handed and group != "task" else [])]
    raise Refusal(f"{group} is a key of agent.py's: type python agent.py {shlex.join(line)}.")


def _refuse_sweeps(plain: Sequence[str]) -> None:
    for text in plain:
        try:
            swept = read(text).swept
        except Odd:  # Hydra's to read, or to refuse
            continue
        if swept:
            raise Refusal(
                f"{text[:60]!r} is a sweep: add -m to run each of its values, or write [a,b] for a list."
            )


def _foreign(asked: Task, key: str, everyone: Mapping[str, Task]) -> Refusal:
    """What to say of a key of another task's, or of nobody's."""
    known = {name: task.keys for name, task in everyone.items()}
    meant, nearest = top_of(key), ""
    if not any(meant in keys for keys in known.values()):
        all_keys = [*asked.keys, *(key for keys in known.values() for key in keys)]
        nearest = near(key, spoken(list(dict.fromkeys(all_keys))))
        meant = top_of(nearest.removeprefix(PERHAPS))
    owners = "" if meant in asked.keys else "|".join(name for name, keys in known.items() if meant in keys)
    whose = f", which task={owners} takes" if owners else ""
    return Refusal(f"task={asked.name} takes no {key[:60]}{nearest}{whose}: {asked.told()}.")
