"""The lab in a notebook: `import joulelab` from any folder, after `pip install -e` of its clone.

Words are those of the command lines and take their way: `train("optimizer=adam", seed=1)` is
`python train.py optimizer=adam seed=1`, `sweep` is the same with `-m`, `research` is `python agent.py`. What
comes back shows itself as a table and has its figures as a DataFrame of pandas in `frame`.

The install brings this module alone. It finds the lab's own modules in its clone and leaves `train`, `models`
and all other names to the notebook; trials, which are processes of their own, look into the clone first.
"""

import importlib
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas

    from research.campaign.campaign import Campaign
    from research.notebook import CampaignView, SweepView, TrialView
    from research.run.runner import Job

__all__ = ["load", "research", "results", "sweep", "train"]
ROOT = Path(__file__).resolve().parent
CONF = ROOT / "conf"
_OURS = ("construct", "power", "reading", "redact", "refusal", "research")
"""modules of the clone that this process needs; the others are its trials'"""


def _find() -> None:
    """Import the lab's modules from the clone, whatever else of their names is on the way there.

    Raises `ImportError` without a clone, and where one of the names is another module's already.
    """
    if not (CONF / "train.yaml").is_file():
        raise ImportError(f"joulelab works from its clone, and {ROOT} is none: pip install -e PATH_OF_CLONE.")
    sys.path.insert(0, str(ROOT))
    try:
        for name in _OURS:
            found = Path(str(importlib.import_module(name).__file__)).resolve()
            if not found.is_relative_to(ROOT):
                raise ImportError(f"{found} is imported as {name}, a name that the lab needs: rename it.")
    finally:
        sys.path.remove(str(ROOT))
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))


_find()
# Of tqdm, which Optuna imports: it draws no bar here.
warnings.filterwarnings("ignore", message="IProgress not found")


def train(*typed: str, store: str | Path = "sqlite", **keys: Any) -> "TrialView":
    """Train once, or look up what is known: what `python train.py` does with the same words.

    Args:
        typed: overrides, as `"optimizer=adam"`.
        store: an option of conf/store, the URL of a database, or the path of a SQLite file.
        keys: further overrides; nested ones as mappings, as `budget={"steps": 100}`. `config_dir` is a folder
            of your own options.

    Raises:
        Refusal: bad input, several trials, or a training that came to no figures; one sentence says why.
    """
    from refusal import Refusal

    jobs = _jobs(typed, store, keys)
    if len(jobs) != 1 or jobs[0].config["dry_run"]:
        raise Refusal("That is a sweep or a plan: write joulelab.sweep(...) with the same words.")
    found = _run(jobs)
    if not found.trials:
        raise Refusal(f"The trial has no figures: {found.outcomes[0].reason}")
    return found.trials[0]


def sweep(*typed: str, store: str | Path = "sqlite", **keys: Any) -> "SweepView":
    """Train every combination, as `sweep("optimizer=adam,lion", "seed=0,1,2")`, some at a time.

    Arguments are those of `train`; `dry_run=True` tells the plan and runs nothing. A trial that fails has no
    figures and is told; the others run on. Raises `Refusal` for bad input before anything is run.
    """
    return _run(_jobs(typed, store, keys))


def research(goal: str | None = None, *typed: str, **keys: Any) -> "CampaignView":
    """Research a goal to its verdict; `typed` and `keys` are those of `research.lab.Lab`, which runs it.

    Raises `Refusal` for a goal that is not understood, and what else `python agent.py` refuses.
    """
    import refusal
    from research.lab import Lab
    from research.notebook import CampaignView

    with refusal.private():
        return CampaignView(Lab(*typed, goal=goal, **keys).run())


def load(what: int | str, store: str | Path = "sqlite") -> "TrialView | SweepView | CampaignView":
    """A trial by its number, a campaign or a sweep by its name; raises `Refusal` where there is none."""
    from refusal import Refusal
    from research.notebook import CampaignView, SweepView, known, views
    from research.tasks.research import outcome

    with _opened(store) as campaign:
        database, number = campaign.known, what if isinstance(what, int) else None
        folders = [row["folder"] for row in database.sprints() if row["facts"].get("campaign") == what]
        if folders:
            return CampaignView(outcome(database, Path(folders[-1]).parent / "report.md"))
        rows = database.trials(sweep=str(what)) if number is None else database.trials(ids=[number])
        found = known(database, rows)
        if not found:
            raise Refusal(f"The database has no figures of {str(what)[:80]!a}: joulelab.results() lists all.")
        shown = views(database, found)
    return SweepView(str(what), found, shown) if number is None else shown[0]


def results(store: str | Path = "sqlite", status: str | None = None) -> "pandas.DataFrame":
    """Every trial of a database, a row each: its columns, `config.*`, and its figures in SI units.

    Raises `Refusal` without a database, without pandas, and for a status that no trial has.
    """
    from research.notebook import pandas_of
    from research.tasks.export import collected, refuse_status

    frames = pandas_of()
    refuse_status(status)
    with _opened(store) as campaign:
        return frames.DataFrame(collected(campaign.known, status))


def _jobs(typed: Sequence[str], store: str | Path, keys: dict[str, Any]) -> "list[Job]":
    """The trials of what was typed, in its order, each composed before any of them is run."""
    from construct import look_here, trust, trust_folder
    from hydra_plugins.hydra_joulelab_launcher.grid import combinations, read
    from redact import redact
    from research.compose.compose import Composer
    from research.lab import database
    from research.run.runner import Job
    from research.run.sweep import name
    from research.tasks.line import overrides, training

    look_here()
    own = keys.pop("config_dir", None)
    if own is not None:
        trust_folder(Path(own).expanduser())
    where = [] if store == "sqlite" else database(store)
    words = training(["-m", *where, *typed, *overrides(keys)], CONF)[1:]
    said, composer = read(words), Composer(CONF, "train", own)
    points = combinations(said, composer)
    configs = [composer.resolve(point).config for point in points]
    trust(configs, words)
    swept = [str(one.key_or_group) for one in said if one.is_sweep_override()]
    called = name(words, swept) if swept or len(points) > 1 else None
    return [Job(config, redact(point), called) for config, point in zip(configs, points, strict=True)]


def _run(jobs: "Sequence[Job]") -> "SweepView":
    import refusal
    from research.notebook import SweepView, views
    from research.run import plan, sweep
    from research.store.store import Store

    name = jobs[0].sweep or "of one"
    if any(job.config["dry_run"] for job in jobs):
        plan.show([job.config for job in jobs], [job.overrides for job in jobs])
        return SweepView(name, [], ())
    with refusal.private():
        outcomes = sweep.run(jobs)
    store = Store(jobs[0].config["store"]["url"])
    try:
        return SweepView(name, outcomes, views(store, outcomes))
    finally:
        store.close()


def _opened(store: str | Path) -> "Campaign":
    """A database, opened as every task of the lab opens it."""
    from research.campaign.campaign import Campaign
    from research.lab import database
    from research.tasks.line import settings

    return Campaign(settings([*database(store), "task=status"], CONF))
