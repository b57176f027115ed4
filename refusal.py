"""The one exception that both floors raise for bad input, and the way both commands end on it."""

import functools
import os
import re
import sys
from collections.abc import Callable

# The name must end in the word: `llm.max_tokens=100` is no secret.
_SECRET = re.compile(
    r"(?i)(?:api[_-]?key|token|secret|password)\s*=\s*[^\s?]|\b(?:sk|pk|hf|ghp)[-_][A-Za-z0-9_-]{16,}"
)


class Refusal(Exception):
    """Bad input or a missing part of the machine: one sentence that says what to do instead."""


def refuse_secrets(arguments: list[str]) -> None:
    """Raise `Refusal` when a command-line argument carries a key: it would end in shell history and logs."""
    for argument in arguments:
        if _SECRET.search(argument):
            shown = argument.split("=", 1)[0][:40]
            raise Refusal(
                f"'{shown}' looks like a secret on the command line: keys come from the environment only, "
                "for example OPENAI_API_KEY=... python agent.py llm=openai."
            )


def sentence(error: BaseException) -> str | None:
    """Return what to tell the user of an error that is theirs to mend, or None for a bug.

    Hydra's complaints about the command line are told without its advice to use `+`, which adds a key that
    nothing reads.
    """
    if isinstance(error, Refusal):
        return str(error)
    if type(error).__module__.split(".")[0] not in ("hydra", "omegaconf"):
        return None
    text = str(error).split("Config search path:")[0]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    kept = [
        line
        for line in lines
        if not line.startswith(("To append to your config", "full_key:", "object_type="))
    ]
    return " ".join(kept).rstrip(".") + ": python train.py --help lists every group, option and key."


def command(main: Callable[[], None]) -> Callable[[], None]:
    """Run a command so that a `Refusal` ends as one sentence and exit code 2; bugs keep their traceback."""

    @functools.wraps(main)
    def run() -> None:
        # Hydra wraps what a job raises in its own report unless it is told to let errors through.
        os.environ.setdefault("HYDRA_FULL_ERROR", "1")
        try:
            refuse_secrets(sys.argv[1:])
            main()
        except KeyboardInterrupt:
            sys.exit(130)
        except Exception as error:
            said = sentence(error)
            if said is None:
                raise
            print(f"refused: {said}", file=sys.stderr)
            sys.exit(2)

    return run
