"""From what is typed after `agent.py` to its resolved configuration, without Hydra where Hydra is not needed.

Hydra takes half a second to import and leaves global state behind. The gate's composer gives the same
configuration in 20 ms; what it refuses, and flags such as `--cfg`, are left to Hydra, which words it well.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any, TextIO

import refusal

if TYPE_CHECKING:
    from research.tasks.answer import Answer

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import yaml

from refusal import Refusal
from research.compose.compose import Composer

# conf/experiment/ makes `experiment` a group to Hydra, and agent.yaml chooses from none.
_RECIPE = re.compile(r"^\+?experiment=")
_FLAGS = {
    *("--help", "--hydra-help", "--version", "--cfg", "--resolve", "--package", "--run", "--multirun"),
    *("--shell-completion", "--config-path", "--config-name", "--config-dir", "--info"),
    "--experimental-rerun",
}
"""flags of Hydra's"""


def arguments(typed: Sequence[str]) -> list[str]:
    """The overrides as Hydra can read them: the goal in quotes, `experiment=` as the recipe that it names."""
    return quoted([_RECIPE.sub("recipe=", text) for text in typed])


def settings(typed: Sequence[str], conf: Path) -> dict[str, Any]:
    """The resolved configuration of typed overrides. Raises `Refusal` for what does not compose."""
    return _composer(conf).resolve(arguments(typed)).config


@lru_cache(maxsize=4)
def _composer(conf: Path) -> Composer:
    """The files of a folder, read once: each method of a notebook's lab composes anew."""
    return Composer(conf, "agent")


def quickly(typed: Sequence[str], conf: Path) -> dict[str, Any] | None:
    """The configuration, None where Hydra should read the command line itself: flags, sweeps and mistakes."""
    if any(text.startswith(("-", "hydra")) for text in typed):
        return None
    try:
        return settings(typed, conf)
    except Refusal:
        return None


def refuse_flags(typed: Sequence[str]) -> None:
    """Raise `Refusal` for a word that is neither `key=value` nor a flag: Hydra would tell a page of usage."""
    before = ""
    for text in typed:
        flag = text.partition("=")[0]
        if text.startswith("--") and flag not in _FLAGS:
            name = flag.strip("-") or "key"
            raise Refusal(f"{flag[:60]} is no option: write {name}=VALUE; --help lists every key.")
        if "=" not in text and not text.startswith(("-", "~")) and not before.startswith("-"):
            raise Refusal(
                f"{text[:60]!a} is no key=value: --help lists every key, --help task=NAME a task's."
            )
        before = text


def overrides(values: Mapping[str, Any], before: str = "") -> list[str]:
    """Python values as overrides: `{"budget": {"seconds": 60}}` is `budget.seconds=60`."""
    found: list[str] = []
    for key, value in values.items():
        name = f"{before}{key}"
        found += overrides(value, f"{name}.") if isinstance(value, Mapping) else [f"{name}={_text(value)}"]
    return found


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ",".join(map(_text, value)) + "]"
    return str(value)


_TEXTS = ("goal", "focus", "id", "a", "b", "path", "sweep", "before")
_LISTS = ("readings", "base", "quiet", "objective.constraints", "compress.distill.teacher.recipe")
_QUOTED = re.compile(r"'[^'$\\]*'|\"[^\"$\\]*\"")


def quoted(arguments: Sequence[str]) -> list[str]:
    """The arguments with texts such as the goal, and the elements of lists that hold words, in quotes."""
    return [_argument(one) for one in arguments]


def _argument(argument: str) -> str:
    key, equals, value = argument.partition("=")
    if equals and key in _TEXTS and value != "null":
        return f"{key}={_quote(value)}"
    if equals and key in _LISTS and value != "null":
        inside = value[1:-1] if value.startswith("[") and value.endswith("]") else value
        return f"{key}=[{','.join(map(_quote, _elements(inside)))}]"
    return argument


def _elements(text: str) -> list[str]:
    """The parts between commas that stand outside brackets and quotes: `a=1,b=[c,d]` is two."""
    parts = re.findall(r"(?:'[^']*'|\"[^\"]*\"|\[[^\]]*\]|[^,])+", text)
    return [part.strip() for part in parts if part.strip()]


def _quote(text: str) -> str:
    """A text in quotes, and nothing but text: Hydra looks `${...}` up, and a backslash escapes."""
    if _QUOTED.fullmatch(text):
        return text
    return "'" + re.sub(r"[$\\]", " ", text).replace("'", "\u2019") + "'"


ASKED = ("--help", "-h")


def page(root: Path) -> str:
    """The help template of a root config, with its keys as the file explains them in place of $CONFIG."""
    text = root.read_text()
    template = str(yaml.safe_load(text)["hydra"]["help"]["template"])
    return template.replace("$APP_CONFIG_GROUPS", options(root.parent, text)).replace("$CONFIG", keys(text))


def task_page(root: Path, name: str, about: str, examples: Sequence[str], takes: Sequence[str]) -> str:
    """The help of one task: what it does, how it is typed, and its keys as the root config explains them."""
    typed = [f"  python agent.py task={name} {example}".rstrip() for example in examples]
    lines = [about, "", *typed, "", "== Keys (key=value) ==", *explained(root.read_text(), [*takes, "json"])]
    return "\n".join([*lines, "", "python agent.py --help lists every other key and option."])


def explained(text: str, names: Sequence[str]) -> list[str]:
    """The lines of a root config that explain these keys of its top level, in the order of the names."""
    lines = {line.partition(":")[0].strip('"'): line for line in text.splitlines() if line[:1] not in " #"}
    return [lines[name] for name in names]


def options(folder: Path, text: str) -> str:
    """One line for each group that the root config names: the group and its options."""
    defaults = [entry for entry in yaml.safe_load(text)["defaults"] if isinstance(entry, dict)]
    groups = [name for entry in defaults for name in entry if not str(name).startswith("override ")]
    files = {group: sorted(path.stem for path in (folder / group).glob("*.yaml")) for group in groups}
    return "\n".join(f"{group}: {', '.join(names)}" for group, names in files.items())


def keys(text: str) -> str:
    """The keys with their comments: what stands between the defaults list and Hydra's own section."""
    lines = text.splitlines()
    first = next(place for place, line in enumerate(lines) if line == "") + 1
    last = next(place for place, line in enumerate(lines) if line.startswith("hydra:"))
    return "\n".join(lines[first:last]).strip()


_ASKED = ("json=true", "json=True", "json=1", "json=yes", "json=on")


def asked(typed: Sequence[str]) -> bool:
    """Whether a JSON document is wanted, told before the command line is understood at all."""
    return any(text.lstrip("+").strip() in _ASKED for text in typed)


@contextmanager
def told(as_json: bool) -> Iterator[TextIO]:
    """End the process as `refusal.told` does; with JSON the sentence is `{"error": ...}` on stdout.

    Yields where the document goes: what the body prints goes to stderr then.
    """
    if not as_json:
        with refusal.told():
            yield sys.stdout
        return
    out = sys.stdout
    try:
        with redirect_stdout(sys.stderr):
            yield out
    except KeyboardInterrupt:
        _error(out, "interrupted: the same command continues")
        sys.exit(130)
    except Exception as error:
        said = refusal.sentence(error)
        _error(out, said.removeprefix("refused: ") if said else f"{type(error).__name__}: {error}")
        if said is None:
            raise
        sys.exit(1 if isinstance(error, refusal.Ended) else 2)


def say(answer: "Answer", as_json: bool, out: TextIO) -> None:
    """Print the answer: its document, or its text unless that was told while it was made."""
    from research.tasks.answer import plain

    text = answer.document() if as_json else "" if answer.told else plain(answer.text())
    try:
        if text:
            print(text, file=out, flush=True)
    except BrokenPipeError:  # the reader has seen enough, as `head` does; flushing again would raise again
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())


def _error(out: TextIO, sentence: str) -> None:
    print(json.dumps({"error": sentence}), file=out)


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM ends as Ctrl-C does; signals can be set in the main thread only, as in no notebook's helper."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*about: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
