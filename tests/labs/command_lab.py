"""A small lab behind the commands: the analytic task of `campaign_lab`, its space, and its rows."""

import io
import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import campaign_lab
from research.campaign.campaign import CONF, Campaign
from research.run.lines import Lines
from research.run.runner import Job, Outcome
from research.space import identity
from research.space.signature import signature
from research.store.store import Known
from research.tasks.answer import Answer
from research.tasks.line import overrides, settings
from research.tasks.task import perform, taken

GOAL = "90 % accuracy for fewer joules"
"""the lab's conf has digits alone, which is not the data of the default goal"""


class Room:
    """Commands on a lab of their own; `said` is what they told on the way."""

    def __init__(self, lab: campaign_lab.Lab) -> None:
        from rich.console import Console

        self.lab, self.store = lab, lab.store
        self.conf = lab.folder / "conf"
        shutil.copytree(CONF / "part", self.conf / "part")
        shutil.copytree(CONF / "role", self.conf / "role")
        (self.conf / "llm").mkdir()
        self.console = Console(record=True, width=300, file=io.StringIO())

    def config(self, task: str, **keys: Any) -> dict[str, Any]:
        url = {
            "store": {"url": f"sqlite:///{self.lab.folder / 'lab.db'}"},
            "root": str(self.lab.folder / "runs"),
            "discovered": str(self.lab.folder / "discovered"),
        }
        usual = overrides({"quiet": [], "base": ["data=digits"], "goal": GOAL, **url})
        return settings([*taken(usual, task, CONF), *overrides({"task": task, **keys})], CONF)

    def ask(self, task: str, **keys: Any) -> Any:
        with self.campaign(task, **keys) as campaign:
            answer = perform(campaign)
        assert isinstance(answer, Answer)
        return answer

    def campaign(self, task: str, **keys: Any) -> Campaign:
        return Campaign(self.config(task, **keys), conf=self.conf, run=self.run, lines=Lines(self.console))

    def run(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        for job in jobs:
            self.lab.ran.append(tuple(job.overrides))
            yield self._one(job)

    def trial(self, *typed: str, seed: int = 0) -> int:
        """A finished trial as a person would have run it; its id."""
        config = self.lab.space.resolve(["data=digits", *typed, f"seed={seed}"])
        outcome = self._one(Job(config, ["data=digits", *typed, f"seed={seed}"]))
        assert outcome.trial_id is not None
        return outcome.trial_id

    def _one(self, job: Job) -> Outcome:
        name = signature(job.config)
        key = identity.key(job.config, name)
        asked = {"config": job.config, "overrides": job.overrides, "seed": job.config["seed"]}
        got = self.store.claim(
            key, **asked, sweep=job.sweep, source=job.source, force=bool(job.config.get("force"))
        )
        if isinstance(got, Known):
            return Outcome(job, "known", trial_id=got.trial.id)
        try:
            metrics = self.lab.task(job.config, random.Random(name))
        except ArithmeticError as error:
            self.store.fail(got, str(error))
            return Outcome(job, "failed", str(error), wall_s=1.0)
        self.store.finish(got, metrics, {"energy_method": "estimated", "scored": 3_780})
        return Outcome(job, "done", trial_id=got.trial_id, wall_s=1.0)


@contextmanager
def opened(folder: Path) -> Iterator[Room]:
    with campaign_lab.opened(folder) as lab:
        yield Room(lab)
