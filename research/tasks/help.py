"""`--help`: the page of agent.py, or of the task that stands beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import final

from refusal import Refusal
from research.compose.override import override
from research.tasks import manual
from research.tasks.answer import Answer
from research.tasks.task import TASKS


@final
class Page(Answer):
    """A page of the manual."""

    task: str | None
    page: str

    def text(self) -> str:
        """The page."""
        return self.page


def asked(typed: Sequence[str]) -> bool:
    """Whether the command line asks for help."""
    return bool(set(manual.ASKED) & set(typed))


def page(typed: Sequence[str], conf: Path) -> Page:
    """The page for a command line. Raises `Refusal` for a task that does not exist."""
    named = [one.value for one in map(override, typed) if one.key == "task" and one.value is not None]
    if not named:
        listed = "\n".join(f"  task={name:<10} {task.about}" for name, task in TASKS.items())
        whole = manual.page(conf / "agent.yaml").replace("$TASKS", listed.strip())
        return Page(task=None, page=whole)
    task = TASKS.get(named[-1])
    if task is None:
        raise Refusal(f"task={named[-1][:60]} is unknown: choose one of {', '.join(TASKS)}.")
    told = manual.task_page(conf / "agent.yaml", named[-1], task.about, task.examples, task.takes)
    return Page(task=named[-1], page=told)
