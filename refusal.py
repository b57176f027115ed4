"""The one exception that both floors raise for bad input, and the way both commands end on it."""

import functools
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb
from types import TracebackType

import redact

# The name must end in the word: `llm.max_tokens=100` is no secret.
_SECRET = re.compile(
    r"(?i)(?:(?:api|access|private|signing)[_-]?key|token|secret|passw(?:or)?d|passphrase|\bauth)\s*=\s*[^\s?]"
)


# Hydra lists the options of a group one below the other.
_OPTIONS = re.compile(r"\s*Available options in ('[^']*'):((?:\n\t[^\n]*)+)")


# OmegaConf names the last part of a key first, and all of it on a line of its own.
_MISSING = re.compile(r"Missing mandatory value: [\w.]+(.*\n\s*full_key: ([\w.]+))", re.DOTALL)
# Of what Hydra's grammar says of a word only the word is of use.
_CUT = re.compile(r"^\w*Exception: |\s*\^\s*$|See https://hydra\.cc/docs\S+ for details", re.MULTILINE)


def _options(found: re.Match[str]) -> str:
    return f"; the options of {found[1]} are {', '.join(found[2].split())}"


_HYDRA = ("hydra", "omegaconf", "antlr4")
_OURS = ("models", "power", "reading", "research")
_READS = ("research.compose.", "research.space.", "research.tasks.line")
"""which of them give to Hydra what a person has typed: from any other, what it raises is a bug"""
STOPPED = "interrupted: the same command typed again goes on from where it was last saved"


class Refusal(Exception):
    """Bad input or a missing part of the machine: one sentence that says what to do instead."""


class Ended(Exception):
    """A training that ended before its time, for a reason that is told in one sentence."""

    spent: dict[str, float] | None = None
    """what it had used by then, where known: its `train/` and `harness/` figures, `share` of the budget"""


def refuse_secrets(arguments: list[str]) -> None:
    """Raise `Refusal` when a command-line argument carries a key: it would end in shell history and logs."""
    for argument in arguments:
        if _SECRET.search(argument) or redact.has_key(argument):
            name = argument.split("=", 1)[0][:40]
            raise Refusal(
                f"'{name}' looks like a secret on the command line: keys come from the environment only, "
                "for example OPENAI_API_KEY=... python agent.py llm=openai."
            )


def sentence(error: BaseException) -> str | None:
    """Return what to tell the user of an error that is theirs to mend, or None for a bug.

    Hydra's complaints about the command line are told without its advice to use `+`, which adds a key that
    nothing reads. Secrets in it are masked.
    """
    said = _sentence(error)
    return None if said is None else redact.text(said)


def _sentence(error: BaseException) -> str | None:
    if isinstance(error, Refusal | Ended):
        return f"refused: {error}" if isinstance(error, Refusal) else str(error)
    if not _is_hydras(error):
        return None
    own = _root(type(error)) in _HYDRA or type(error) is ValueError
    said = str(error) if own else f"Hydra cannot read what was typed ({type(error).__name__}: {error})"
    text = _CUT.sub("", said.split("Config search path:")[0])
    text = _MISSING.sub(r"Missing mandatory value: \2\1", text)
    text = _OPTIONS.sub(_options, text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    kept = [
        line
        for line in lines
        if not line.startswith(("To append to your config", "full_key:", "object_type="))
    ]
    return (
        "refused: "
        + " ".join(kept).rstrip(".")
        + f": python {Path(sys.argv[0]).name} --help lists every option and key."
    )


def _is_hydras(error: BaseException) -> bool:
    """Whether Hydra raised an error while it read what a person has typed, of which it asserts much."""
    named = [str(frame.f_globals.get("__name__")) for frame, _ in walk_tb(error.__traceback__)]
    ours = [name for name in named if name.partition(".")[0] in _OURS]
    if ours and not ours[-1].startswith(_READS):
        return False
    if _root(type(error)) in _HYDRA:
        return True
    inner = [
        root for root in (name.partition(".")[0] for name in named) if root not in sys.stdlib_module_names
    ]
    return isinstance(error, Exception) and inner[-1:] != [] and inner[-1] in _HYDRA


def _root(kind: type) -> str:
    return kind.__module__.partition(".")[0]


@contextmanager
def told() -> Iterator[None]:
    """End the process on bad input or an ended training with one sentence; bugs keep their traceback.

    Exit code 2 is bad input, 1 a training that ended early, 130 Ctrl-C.
    """
    try:
        yield
    except KeyboardInterrupt:
        print(STOPPED, file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        said = sentence(error)
        if said is None:
            raise
        print(redact.shown(said).replace("\n", r"\n"), file=sys.stderr)
        sys.exit(1 if isinstance(error, Ended) else 2)


def from_the_start() -> None:
    """Have Ctrl-C told as `told` does while a command is still being imported."""

    def say(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            print(STOPPED, file=sys.stderr)
        else:
            sys.__excepthook__(kind, error, where)

    sys.excepthook = say


@contextmanager
def private() -> Iterator[None]:
    """What is written meanwhile is nobody else's to read: rows, weights and logs hold a person's work.

    For a command: the mask is the whole process's.
    """
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def command(main: Callable[[], None]) -> Callable[[], None]:
    """Run a command under `told` and `private`, after a look for keys on its command line."""

    @functools.wraps(main)
    def run() -> None:
        # Hydra wraps what a job raises in its own report unless it is told to let errors through.
        os.environ["HYDRA_FULL_ERROR"] = "1"
        with told(), private():
            refuse_secrets(sys.argv[1:])
            main()

    return run
