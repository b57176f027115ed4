"""The lab from Python: typed results, the same words as on the command line, nothing left behind."""

import doctest
import io
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import research.lab
from refusal import Refusal
from research.lab import Lab
from research.run.lines import Lines
from research.run.runner import Job, Outcome
from research.space import identity
from research.space.signature import signature
from research.store.store import Known, Store
from research.tasks.research import Researched

FEW = {
    "screen": {"turns": 3},
    "promote": {"arms": 1, "seeds": [1]},
    "confirm": {"seeds": 3, "arms": 1, "looks": 1},
    "proposer": {"shares": {"random": 1.0, "tpe": 0, "recipes": 0, "llm": 0}},
}


def lines() -> Lines:
    from rich.console import Console

    return Lines(Console(file=io.StringIO(), width=200))


class StandIn:
    """Writes the rows of trials with figures from the configuration's steps, in place of training."""

    def __init__(self, store: Path) -> None:
        self.store, self.count = store, 0

    def __call__(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        store = Store(f"sqlite:///{self.store}")
        try:
            for job in jobs:
                self.count += 1
                yield self._one(store, job)
        finally:
            store.close()

    def _one(self, store: Store, job: Job) -> Outcome:
        name = signature(job.config)
        asked = {"config": job.config, "overrides": job.overrides, "seed": job.config["seed"]}
        got = store.claim(identity.key(job.config, name), **asked, sweep=job.sweep, source=job.source)
        if isinstance(got, Known):
            return Outcome(job, "known", trial_id=got.trial.id)
        rng = random.Random(name)
        steps, accuracy = job.config["budget"]["steps"] or 100, 0.95 + rng.gauss(0, 0.002)
        metrics = {"val/accuracy": accuracy, "test/accuracy": accuracy, "size/parameters": 10.0}
        metrics["train/energy_j"] = steps / 100 * (1 + rng.gauss(0, 0.02))
        store.finish(got, metrics, {"energy_method": "estimated", "scored": 360})
        return Outcome(job, "done", trial_id=got.trial_id, wall_s=0.1)


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_the_example_of_the_docstring_runs() -> None:
    found = doctest.testmod(research.lab)
    assert found.attempted >= 7 and found.failed == 0


@pytest.mark.parametrize(
    ("typed", "keys", "said"),
    [
        ((), {"llm": "oracle"}, "oracle"),
        ((), {"domain": "alchemy"}, "alchemy"),
        (("screen.trns=3",), {}, "screen.trns"),
        ((), {"budget": {"sconds": 3}}, "budget.sconds"),
    ],
)
def test_what_does_not_compose_is_refused_at_once(typed: tuple, keys: dict, said: str) -> None:
    with pytest.raises(Refusal, match=said):
        Lab(*typed, **keys)


@pytest.mark.parametrize(
    ("store", "url"),
    [
        ("sqlite:////tmp/x.db", "sqlite:////tmp/x.db"),
        (Path("/tmp/x.db"), "sqlite:////tmp/x.db"),
        ("sqlite", "sqlite:///joulelab.db"),
        ("postgresql+psycopg://h/d", "postgresql+psycopg://h/d"),
    ],
)
def test_a_store_is_an_option_a_url_or_a_file(store: str | Path, url: str) -> None:
    from research.campaign.campaign import CONF
    from research.tasks.line import settings

    assert settings(Lab(store=store)._typed, CONF)["store"]["url"] == url


def test_each_method_is_a_task_and_each_task_a_method() -> None:
    from research.campaign.campaign import CONF
    from research.tasks.task import composer, tasks

    names = {"research": "run", "run": "run_queued"}
    assert all(callable(getattr(Lab, names.get(task, task))) for task in tasks(composer(CONF).files))


@pytest.mark.parametrize(
    ("method", "given"),
    [
        ("suggest", {"count": 0, "focus": "size", "queue": True}),
        ("review", {"limit": 0}),
        ("improve", {"limit": 0}),
        ("run_queued", {"proposal": 3}),
        ("list", {"what": "trials", "status": "done", "limit": 3}),
        ("show", {"row": 1}),
        ("compare", {"a": 1, "b": 2}),
        ("reproduce", {"row": 1}),
        ("export", {"path": "x.json", "status": "done"}),
        ("report", {"row": "campaign", "to": "wandb"}),
        ("report", {"sweep": "x"}),
        ("steer", {"say": "stop", "campaign": "campaign:x"}),
        ("calibrate", {"readings": ["idle:1"], "load": 1, "seconds": 3.5}),
        ("forget", {"row": "sprint:1", "before": "2026-01-01", "trials": True, "yes": True}),
    ],
)
def test_what_a_method_takes_its_task_takes(tmp_path: Path, method: str, given: dict) -> None:
    """A lab with a goal asks its other tasks too; each refuses for its own reason, and none for a key."""
    lab = Lab(goal="fewer joules", domain="efficiency", store=tmp_path / "lab.db", budget={"trials": 3})
    with pytest.raises(Refusal) as stop:
        getattr(lab, method)(**given)
    assert not any(said in str(stop.value) for said in ("takes no ", "there is no", " is no whole"))


@pytest.mark.slow
def test_two_labs_in_one_process_run_to_typed_results(tmp_path: Path) -> None:
    from hydra.core.global_hydra import GlobalHydra

    for name in ("one", "two"):
        store = tmp_path / f"{name}.db"
        stand_in = StandIn(store)
        lab = Lab(
            goal="90 % accuracy for fewer joules",
            store=store,
            run=stand_in,
            lines=lines(),
            root=str(tmp_path / name),
            discovered=str(tmp_path / "discovered"),
            **FEW,
        )
        found = lab.run()
        assert isinstance(found, Researched) and found.report.exists() and found.sprints[-1].status == "done"
        assert found.figures[0].arm == "control" and found.figures[0].n >= 1
        assert {one.word for one in found.insights} <= {"supported", "refuted", "open"}
        count = stand_in.count
        assert lab.run().campaign == found.campaign and stand_in.count == count
        assert lab.status().trials["done"] >= 3 and not GlobalHydra.instance().is_initialized()
    assert lab.report("campaign").paths[0].exists()
