"""What is typed after `agent.py` as a resolved configuration, the pages of help, and how the command ends.

The gate's composer takes a fiftieth of Hydra's half second; flags as `--cfg`, and sweeps, are left to Hydra.
"""

import json
import os
import re
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import redact
import refusal
from construct import trust, trust_folder
from redact import UNSEEN, shown
from refusal import Refusal
from research.compose.defaults import Files
from research.compose.override import flat, override
from research.compose.trees import text_of
from research.compose.typed import SWEEPS, quoted
from research.page import written
from research.tasks.foreign import refuse_absent, refuse_campaigns, refuse_foreign, refuse_misfits
from research.tasks.task import (
    FEW,
    NO_KEYS,
    USUAL,
    Task,
    composer,
    named_tasks,
    tasks,
    unknown,
)

if TYPE_CHECKING:
    from research.tasks.answer import Answer, Page

HELP = ("--help", "-h")

# conf/experiment/ makes `experiment` a group to Hydra, and agent.yaml chooses from none.
_RECIPE = re.compile(r"^\+?experiment=")
# A goal is a text, and no text has keys of its own.
_REWORD = re.compile(r"^\+?goal\.reword=")
_FLAGS = {
    *("--help", "--hydra-help", "--version", "--cfg", "--resolve", "--package", "--run", "--multirun"),
    *("--shell-completion", "--config-path", "--config-name", "--config-dir", "--info"),
    "--experimental-rerun",
}
"""flags of Hydra's"""
_SHORT = {"-h", "-c", "-p", "-r", "-m", "-sc", "-cp", "-cn", "-cd", "-i"}
_ASKED = ("json=true", "json=True", "json=1", "json=yes", "json=on")


def arguments(typed: Sequence[str]) -> list[str]:
    """The overrides as Hydra can read them. Raises `Refusal` for what tells which function a task is."""
    own = next((text for text in typed if text.lstrip("+~").startswith("task.")), None)
    if own is not None:
        raise Refusal(f"{own[:60]} is not to be set: choose a task by its name, as task=status.")
    return quoted([_REWORD.sub("reword=", _RECIPE.sub("recipe=", text)) for text in typed])


def training(typed: Sequence[str], conf: Path) -> list[str]:
    """What is typed after `train.py`, or said in a notebook, as Hydra reads it.

    Raises `Refusal` for what is not its to take.
    """
    from research.run.given import spelled, spelt_out

    # A recipe is in the defaults, so Hydra takes `experiment=x` only; many write `+experiment=x`.
    words = [text[1:] if text.startswith("+experiment=") else text for text in typed]
    refusal.refuse_secrets(words)
    words = spelled(spelt_out(words, conf))
    refuse_flags(words, conf)
    refuse_misfits(words, conf, "train")
    refuse_campaigns(words, conf)
    return quoted(words)


def settings(typed: Sequence[str], conf: Path) -> dict[str, Any]:
    """The resolved configuration of typed overrides. Raises `Refusal` for what does not compose."""
    asked = arguments(typed)
    here = composer(conf)
    for text in asked:
        here.refuse_added(text)
    try:
        config = here.resolve(asked).config
        trust(config, asked)
        if config.get("config_dir") is not None:
            trust_folder(Path(str(config["config_dir"])).expanduser())
        return config
    except Refusal:
        refuse_foreign(typed, conf)  # these say better what is wrong with a key
        refuse_absent(asked, conf)
        raise


def quickly(typed: Sequence[str], conf: Path) -> dict[str, Any] | None:
    """The configuration, None where Hydra should read the command line itself: flags, and so sweeps.

    Raises `Refusal` for what does not compose.
    """
    if any(text.startswith(("-", "hydra")) for text in typed):
        refuse_foreign(typed, conf)
        refuse_misfits(typed, conf)
        return None
    return settings(typed, conf)


def refuse_flags(typed: Sequence[str], conf: Path) -> None:
    """Raise `Refusal` for a word that is neither `key=value` nor a flag: Hydra would tell a page of usage."""
    for text in typed:
        flag = override(text).key
        if text.startswith("-") and flag not in _FLAGS | _SHORT:
            name = flag.strip("-") or "key"
            raise Refusal(f"{flag[:60]} is no option: write {name}=VALUE; --help lists every key.")
    for text in _words(typed) if any(text.startswith("-") for text in typed) else typed:
        if "=" not in text and not text.startswith("~"):
            raise Refusal(f"{text[:60]!r} is no key=value{_as_option(text, conf)}: --help lists every key.")


def _words(typed: Sequence[str]) -> list[str]:
    """What is typed beside Hydra's flags and their values, as Hydra reads it."""
    from hydra._internal.utils import get_args_parser

    parser: Any = get_args_parser()

    def refuse(said: str) -> None:
        how = "write flags first, then each key=value; " * said.startswith("unrecognized")
        raise Refusal(f"{said[:200]}: {how}--help lists every key.")

    parser.error = refuse
    first = sorted((text for text in typed if text != "--version"), key=lambda text: text not in SWEEPS)
    words: list[str] = parser.parse_args(first).overrides
    return words


def _as_option(word: str, conf: Path) -> str:
    """A word that is an option of some group, as it is typed with its group."""
    files = composer(conf).files
    groups = sorted(group for group in files.groups() if word in files.options(group))
    return f", perhaps {' or '.join(f'{group}={word}' for group in groups)}" if groups else ""


def overrides(values: Mapping[str, Any]) -> list[str]:
    """Python values as overrides: `{"budget": {"seconds": 60}}` is `budget.seconds=60`."""
    return [f"{key}={text}" for key, text in flat(values).items()]


def helps(typed: Sequence[str]) -> bool:
    """Whether the command line asks for help."""
    return bool(set(HELP) & set(typed))


def page(typed: Sequence[str], conf: Path) -> "Page":
    """The page of help for a command line. Raises `Refusal` for a task that does not exist."""
    from research.tasks.answer import Page

    files = composer(conf).files
    everyone = tasks(files)
    named = named_tasks(typed)
    if not named:
        listed = "\n".join(f"  task={task.name:<10} {task.about}" for task in everyone.values())
        whole = manual(files, "agent", everyone[USUAL].files)
        return Page(task=None, page=whole.replace("$TASKS", listed.strip()))
    if named[-1] not in everyone:
        raise unknown(named[-1], everyone)
    asked = everyone[named[-1]]
    return Page(task=asked.name, page=_of_one(files, asked), keys=_explained(files, asked))


def manual(files: Files, root: str, parts: Iterable[str] = ()) -> str:
    """The help template of a root file, with the groups and keys of it and its parts in their places."""
    named = [*(part for part in parts if part != root), root]
    template = str(files.load(root).content["hydra"]["help"]["template"])
    options = [line for name in named for line in _options(files, name)]
    keys = [keys_of(files, name) for name in named]
    return template.replace("$APP_CONFIG_GROUPS", "\n".join(options)).replace("$CONFIG", "\n".join(keys))


def keys_of(files: Files, name: str) -> str:
    """The keys of a file with their comments, without its card, its defaults list and what is no key."""
    kept, keeps = [], False
    for line in text_of(files.folder / f"{name}.yaml").splitlines():
        if line[:1] not in ("", " ", "#", "-"):
            keeps = line.partition(":")[0] not in ("defaults", *NO_KEYS)
        kept += [line] if keeps else []
    return "\n".join(kept).strip()


def _of_one(files: Files, asked: Task) -> str:
    """What a task does, how it is typed, and its keys; those of a campaign stand on the page of all."""
    typed = [f"  python agent.py task={asked.name} {example}".rstrip() for example in asked.examples]
    small = [name for name, keys in asked.files.items() if name.startswith("task/") or len(keys) <= FEW]
    told = [keys_of(files, name) for name in sorted(small, reverse=True)]
    told += [line for name in sorted(small, reverse=True) for line in _options(files, name)]
    more = "" if len(small) == len(asked.files) else ", and the keys of a campaign, which this one takes too"
    last = f"python agent.py --help lists the other tasks{more}."
    return "\n".join([asked.about, "", *typed, "", "== Keys (key=value) ==", *filter(None, told), "", last])


def _options(files: Files, name: str) -> list[str]:
    """One line for each group that a file names: the group and its options; the tasks are told beside it."""
    groups = [entry.group for entry in files.entries(name) if not entry.override]
    return [f"{group}: {', '.join(files.options(group))}" for group in groups if group not in ("", "task")]


def _explained(files: Files, asked: Task) -> dict[str, str]:
    """The keys of a task's own file with what the file says of each."""
    lines = [line for line in keys_of(files, f"task/{asked.name}").splitlines() if line[:1] != " "]
    return {line.partition(":")[0].strip('"'): line.partition("#")[2].strip() for line in lines}


def as_document(typed: Sequence[str]) -> bool:
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
        _failed(out, refusal.STOPPED)
        sys.exit(130)
    except Exception as error:
        said = refusal.sentence(error)
        _failed(
            out, said.removeprefix("refused: ") if said else redact.text(f"{type(error).__name__}: {error}")
        )
        if said is None:
            raise
        sys.exit(1 if isinstance(error, refusal.Ended) else 2)


def say(answer: "Answer", as_json: bool, out: TextIO) -> None:
    """Print the answer: its document, or its text unless that was told while it was made."""
    if as_json:
        text = UNSEEN.sub(_as_json, answer.document())
    else:
        text = "" if answer.told else written(answer.text(), out)
    if text:
        put(text, out)


def put(text: str, out: TextIO) -> None:
    """Print it, for a reader that may have seen enough, as `head` has."""
    try:
        print(text, file=out, flush=True)
    except BrokenPipeError:  # flushing again would raise again
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())


def _as_json(found: re.Match[str]) -> str:
    """A character as JSON spells it, which reads back as itself; the line breaks of a document stay."""
    return found[0] if found[0] in "\r\n" else f"\\u{ord(found[0]):04x}"


def _failed(out: TextIO, sentence: str) -> None:
    print(json.dumps({"error": shown(sentence)}), file=out)


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
