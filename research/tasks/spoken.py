"""How a command ends when `json=true`: one JSON document on stdout whatever happens, all else on stderr."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, TextIO

import refusal

if TYPE_CHECKING:
    from research.tasks.answer import Answer

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
