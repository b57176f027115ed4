"""The lab from Python: the tasks of `agent.py` as methods that return typed results.

What is said on the command line is said here in the same words. Nothing is left behind in the process: two
labs may live in one notebook.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, final

from refusal import Refusal
from research.campaign.campaign import CONF, Campaign
from research.tasks.answer import Answer
from research.tasks.archive import BackedUp, Forgot
from research.tasks.calibrate import Calibrated
from research.tasks.compare import Compared
from research.tasks.delivered import Delivered
from research.tasks.doctor import Examined
from research.tasks.execute import Ran
from research.tasks.export import Exported
from research.tasks.line import overrides, settings
from research.tasks.listing import Listing
from research.tasks.queue import Steered, Waiting
from research.tasks.report import Reported
from research.tasks.reproduce import Reproduced
from research.tasks.research import Planned, Researched
from research.tasks.review import Reviews
from research.tasks.show import Shown
from research.tasks.status import Status
from research.tasks.suggest import Suggested
from research.tasks.task import perform, taken
from research.tasks.zoo import Zoo

if TYPE_CHECKING:
    from research.campaign.bench import Run
    from research.run.lines import Lines

A = TypeVar("A", bound=Answer)


@final
class Lab:
    """One goal, one database, and everything that can be asked of them.

    Args:
        typed: overrides as after `python agent.py`, for example `"screen.turns=4"` or `"llm.model=..."`;
            each method takes those that its task has.
        goal: what is researched, in words; None is the usual goal, or the domain's own.
        llm: an option of conf/llm.
        store: an option of conf/store, the URL of a database, or the path of a SQLite file.
        domain: an option of conf/domain, for its part of the space only.
        base: overrides of train.py for every trial.
        run: what runs trials in place of processes, from jobs to outcomes.
        lines: where progress is told; None is the terminal.
        more: further keys of conf/part/campaign.yaml, nested ones as mappings: `budget={"seconds": 60}`.

    Example:
        >>> import tempfile
        >>> from research.lab import Lab
        >>> store = f"sqlite:///{tempfile.mkdtemp()}/lab.db"
        >>> lab = Lab(goal="90 % accuracy for fewer joules", store=store, domain="efficiency")
        >>> found = lab.suggest(count=2, queue=True)
        >>> [one.id for one in found.suggestions]
        [1, 2]
        >>> lab.status().proposals
        {'queued': 2}
        >>> lab.show("proposal:1").about["domain"]
        'efficiency'

    `lab.run()` researches the goal to its verdict and returns a `Researched`: campaign, sprints, insights,
    figures, and the path of the report. Every method raises `Refusal` with one sentence for bad input.
    """

    def __init__(
        self,
        *typed: str,
        goal: str | None = None,
        llm: str = "none",
        store: str | Path = "sqlite",
        domain: str = "none",
        base: tuple[str, ...] | list[str] = (),
        run: "Run | None" = None,
        lines: "Lines | None" = None,
        **more: Any,
    ) -> None:
        self._run, self._lines = run, lines
        given: dict[str, Any] = {"llm": llm, "domain": domain, **more}
        given |= {"goal": goal} if goal is not None else {}
        given |= {"base": list(base)} if base else {}
        self._typed = [*database(store), *overrides(given), *typed]
        settings(self._typed, CONF)  # what does not compose is refused here, not in the first method

    def run(self) -> Researched:
        """Research the goal to its verdict; what is known already is not run again."""
        return self._do("research", Researched)

    def plan(self) -> Planned:
        """What `run` would do: the goal as it was understood, the space and the cost; nothing is run."""
        return self._do("research", Planned, dry_run=True)

    def suggest(self, count: int = 5, *, focus: str | None = None, queue: bool = False) -> Suggested:
        """Proposals that pass the gate and repeat nothing; `queue` keeps them for `run_queued`."""
        return self._do("suggest", Suggested, count=count, focus=focus, queue=queue)

    def review(self, limit: int = 10) -> Reviews:
        """Score what waits."""
        return self._do("review", Reviews, limit=limit)

    def improve(self, limit: int = 10) -> Reviews:
        """Rewrite what its review left below `review.accept`."""
        return self._do("improve", Reviews, limit=limit)

    def run_queued(self, proposal: int | str | None = None) -> Ran:
        """Run one queued proposal beside its control; None runs all until interrupted, as a daemon does."""
        return self._do("run", Ran, id=proposal, daemon=proposal is None)

    def queue(
        self,
        *,
        cancel: str | None = None,
        pause: str | None = None,
        resume: str | None = None,
        first: str | None = None,
        priority: int | None = None,
        limit: int = 20,
    ) -> Waiting:
        """What waits and runs, after one of: `cancel`, `pause`, `resume`, `first` with a `priority`."""
        wishes = {"cancel": cancel, "pause": pause, "resume": resume, "first": first}
        return self._do("queue", Waiting, **wishes, priority=priority, limit=limit)

    def status(self) -> Status:
        """Sprints, queue, trials and what is spent."""
        return self._do("status", Status)

    def list(self, what: str, status: str | None = None, limit: int | None = None) -> Listing:
        """Rows of `proposals`, `trials`, `insights` or `recipes`."""
        return self._do("list", Listing, what=what, status=status, limit=limit)

    def show(self, row: int | str) -> Shown:
        """One trial by its number, or `proposal:3`, `insight:2`, `sprint:1`."""
        return self._do("show", Shown, id=row)

    def compare(self, a: int | str, b: int | str) -> Compared:
        """Two configurations, by a trial or a proposal each, paired by seed."""
        return self._do("compare", Compared, a=a, b=b)

    def reproduce(self, row: int | str) -> Reproduced:
        """A trial, or all trials of an insight, again; whether the figures agree."""
        return self._do("reproduce", Reproduced, id=row)

    def export(self, path: str | Path, status: str | None = None) -> Exported:
        """All trials to a .json or .parquet file."""
        return self._do("export", Exported, path=path, status=status)

    def deliver(self, row: int, path: str | Path, format: str = "safetensors", **more: Any) -> Delivered:
        """A trial's network in the folder `path`, proven to answer without the lab; `more` as `licence`."""
        return self._do("export", Delivered, id=row, path=path, format=format, **more)

    def zoo(self, of: str | None = None, bound: Sequence[str] = ()) -> Zoo:
        """The best networks at hand of each data set and bound."""
        return self._do("zoo", Zoo, of=of, bound=list(bound))

    def report(self, row: str | None = None, *, sweep: str | None = None, to: str | None = None) -> Reported:
        """The report of `sprint:1`, `campaign` or `campaign:NAME`, or of a sweep, written again."""
        return self._do("report", Reported, id=row, sweep=sweep, to=to)

    def forget(
        self,
        row: str | None = None,
        *,
        before: str | None = None,
        trials: bool = False,
        yes: bool = False,
    ) -> Forgot:
        """Delete `sprint:1`, `campaign:NAME` or what is older than a date; shows it unless `yes`."""
        return self._do("forget", Forgot, id=row, before=before, trials=trials, yes=yes)

    def steer(self, say: str | None = None, *, campaign: str | None = None) -> Steered:
        """Tell a campaign that runs `exclude NAMES`, `focus NAMES`, `note TEXT` or `stop`; None shows it."""
        return self._do("steer", Steered, say=say, id=campaign)

    def doctor(self) -> Examined:
        """What is installed and reachable here."""
        return self._do("doctor", Examined)

    def backup(self, path: str | Path | None = None) -> BackedUp:
        """The whole database copied to a new file; None is one of this moment under `root`."""
        return self._do("backup", BackedUp, path=None if path is None else str(path))

    def calibrate(
        self,
        readings: Sequence[str] = (),
        *,
        load: int | None = None,
        seconds: float | None = None,
    ) -> Calibrated:
        """What a busy core draws: by the counter, by `readings`, or a `load` held while a meter is read."""
        return self._do("calibrate", Calibrated, readings=[*readings] or None, load=load, seconds=seconds)

    def _do(self, task: str, kind: type[A], **keys: Any) -> A:
        asked = overrides({"task": task, **{key: value for key, value in keys.items() if value is not None}})
        typed = [*taken(self._typed, task, CONF), *asked]
        with Campaign(settings(typed, CONF), run=self._run, lines=self._lines) as campaign:
            answer = perform(campaign)
        if not isinstance(answer, kind):
            raise Refusal("dry_run=true asks for a plan: leave it out, or call research.lab.Lab(...).plan().")
        return answer


def database(store: str | Path) -> list[str]:
    """An option of conf/store, the URL of a database or the path of a SQLite file, as overrides."""
    text = str(store)
    if isinstance(store, Path) or ("://" not in text and not text.isidentifier()):
        return ["store=sqlite", f"store.url=sqlite:///{Path(store).expanduser().absolute()}"]
    if "://" not in text:
        return [f"store={text}"]
    kinds = {"postgres": "postgresql", "mariadb": "mariadb", "mysql": "mariadb"}
    kind = next((option for begin, option in kinds.items() if text.startswith(begin)), "sqlite")
    return [f"store={kind}", f"store.url={text}"]
