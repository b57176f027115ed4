"""The tasks by name: which file does each, which keys it takes, and how it is typed."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, final

from refusal import Refusal
from research.tasks.switches import refuse_switches

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
