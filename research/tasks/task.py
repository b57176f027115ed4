"""The tasks by name: which file does each, which keys it takes, and how it is typed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from refusal import Refusal
from research.tasks import line
from research.tasks.answer import Answer

if TYPE_CHECKING:
    from research.tasks.answer import Answer
    from research.tasks.desk import Desk


@final
@dataclass(frozen=True)
class Task:
    """One task: `target` is `module:function` under research/tasks, imported when it is asked for."""

    target: str
    about: str
    takes: tuple[str, ...]
    examples: tuple[str, ...]


TASKS = {
    "research": Task(
        "research:research",
        "Research a goal to its verdict, or run a recipe's experiment; what is known is not run again.",
        (),
        (
            'goal="90 % accuracy for fewer joules"',
            'goal="fewer bits per byte" domain=moe_architecture focus=routing',
            "experiment=efficient_optimizer",
        ),
    ),
    "suggest": Task(
        "suggest:suggest",
        "Propose experiments that pass the gate and repeat nothing; queue=true keeps them for task=run.",
        ("count", "queue"),
        ("count=5 domain=moe_architecture focus=routing queue=true", 'goal="95 % accuracy for fewer joules"'),
    ),
    "review": Task(
        "review:review",
        "Score proposals that wait, with reasons and risks: 7 and above is queued, the rest can be improved.",
        ("limit",),
        ("limit=10", "llm=ollama limit=3"),
    ),
    "improve": Task(
        "review:improve",
        "Rewrite the proposals that their review left below 7, and review them again; the parent is kept.",
        ("limit",),
        ("limit=5",),
    ),
    "run": Task(
        "execute:execute",
        "Run a queued experiment over the screening seeds beside its control, or all of them by daemon=true.",
        ("id", "daemon"),
        ("id=experiment:3", "daemon=true"),
    ),
    "status": Task("status:status", "Sprints, queue, trials and what is spent, in one look.", (), ("",)),
    "list": Task(
        "listing:listing",
        "List experiments, trials or insights of the database, or the recipes of conf/experiment.",
        ("what", "status", "limit"),
        ("what=recipes", "what=experiments status=queued", "what=trials status=failed limit=50"),
    ),
    "show": Task(
        "show:show",
        "Show all that is known of one trial, experiment, insight or sprint.",
        ("id",),
        ("id=12", "id=experiment:3", "id=insight:2", "id=sprint:1"),
    ),
    "compare": Task(
        "compare:compare",
        "Compare two configurations paired by seed, each metric with its interval, or say why not.",
        ("a", "b"),
        ("a=12 b=40", "a=experiment:3 b=experiment:7"),
    ),
    "reproduce": Task(
        "reproduce:reproduce",
        "Run a trial, or all trials of an insight, again as replicates, and say whether the figures agree.",
        ("id",),
        ("id=12", "id=insight:2"),
    ),
    "export": Task(
        "export:export",
        "Write all trials with their metrics and flattened configurations to one file.",
        ("path", "status"),
        ("path=trials.json", "path=trials.parquet status=done"),
    ),
    "report": Task(
        "report:report",
        "Write the report of a sprint, a campaign or a sweep again from its rows, or as a W&B Report.",
        ("id", "sweep", "to"),
        ("id=sprint:1", "id=campaign", "sweep=2026-11-01_12-00-00", "id=campaign to=wandb"),
    ),
    "doctor": Task(
        "doctor:doctor",
        "What is installed, which keys are present, GPU, energy method, database and network; no secrets.",
        (),
        ("",),
    ),
    "calibrate": Task(
        "calibrate:calibrate",
        "Measure what a busy core of this machine draws, by its counter or by readings of a wall meter.",
        ("readings", "load", "seconds"),
        ("", "load=1 seconds=60", "readings=[idle:21.5,1:28.0,2:33.1]"),
    ),
    "forget": Task(
        "forget:forget",
        "Delete sprints and what hangs on them, as selected; shows what would go unless yes=true.",
        ("id", "before", "trials", "yes"),
        ("id=sprint:1", "id=campaign:NAME trials=true", "before=2026-11-01 yes=true"),
    ),
}


def perform(desk: "Desk") -> "Answer":
    """Do the task of the configuration. Raises `Refusal` for one that does not exist or a key not its own."""
    task = checked(desk.config, desk.usual)
    module, function = task.target.split(":")
    answer: Answer = getattr(import_module(f"research.tasks.{module}"), function)(desk)
    return answer


def checked(config: Mapping[str, Any], usual: Mapping[str, Any]) -> Task:
    """The task, when nothing is set that belongs to another one or is no switch. Raises `Refusal`."""
    name = str(config["task"])
    if name not in TASKS:
        raise Refusal(f"task={name[:60]} is unknown: choose one of {', '.join(TASKS)}.")
    owners: dict[str, list[str]] = {}
    for owner, task in TASKS.items():
        for key in task.takes:
            owners.setdefault(key, []).append(owner)
    for key, tasks in owners.items():
        if name not in tasks and config[key] != usual[key]:
            raise Refusal(f"task={name} takes no {key}: task={'|'.join(tasks)} does.")
    refuse_switches(config, usual)
    for key, value in usual.items():
        # `yes=no` is a text to Hydra, and every text would be taken for true.
        if isinstance(value, bool) and not isinstance(config[key], bool):
            raise Refusal(f"{key}={config[key]} is neither yes nor no: write {key}=true or {key}=false.")
    return TASKS[name]


_OPEN = {
    ("memory", "mode"),  # on and off
    ("memory", "retrieval"),
    ("llm", "cache"),
    ("llm", "extra"),
    ("llm", "fallback"),
    ("proposer", "sources"),
}
"""keys of groups that take one, or that a constructor of anybody's own reads"""
_FREE = ("literature", "domain", "store")
"""groups whose own code judges them"""


def refuse_switches(config: Mapping[str, Any], usual: Mapping[str, Any]) -> None:
    """Raise `Refusal` for a true or false at a key that takes none, as `sprint.count=true`.

    `usual` are the keys of agent.yaml: one takes true or false where that is its usual value.
    """
    for path in _switched(config):
        key = ".".join(path)
        default = _usual(usual, path)
        if path[0] in _FREE or isinstance(default, bool) or path[:2] in _OPEN:
            continue
        known = f", usually {default}" if isinstance(default, int | float | str) else ""
        raise Refusal(f"{key} takes no true or false{known}: python agent.py --help says what it takes.")


def _switched(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of each true and false; one in a list counts as the list's."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _switched(value, (*path, str(key)))
    elif isinstance(node, list | tuple):
        if any(isinstance(one, bool) for one in node):
            yield path
    elif isinstance(node, bool):
        yield path


def _usual(usual: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        usual = usual.get(key) if isinstance(usual, Mapping) else None
    return usual


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
    return bool(set(line.ASKED) & set(typed))


def page(typed: Sequence[str], conf: Path) -> Page:
    """The page for a command line. Raises `Refusal` for a task that does not exist."""
    named = [text.partition("=")[2] for text in typed if text.startswith("task=")]
    if not named:
        listed = "\n".join(f"  task={name:<10} {task.about}" for name, task in TASKS.items())
        whole = line.page(conf / "agent.yaml").replace("$TASKS", listed.strip())
        return Page(task=None, page=whole)
    task = TASKS.get(named[-1])
    if task is None:
        raise Refusal(f"task={named[-1][:60]} is unknown: choose one of {', '.join(TASKS)}.")
    told = line.task_page(conf / "agent.yaml", named[-1], task.about, task.examples, task.takes)
    return Page(task=named[-1], page=told)
