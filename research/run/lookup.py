"""What is known of jobs before any process is started for them."""

from collections.abc import Mapping, Sequence
from typing import Any

from redact import redact
from research.run import teachers
from research.run.job import Job, Outcome
from research.run.retold import retold
from research.space import profiles
from research.space.signature import signature
from research.store.claims import WantedTrial, wanted
from research.store.store import Store
from research.types import Key, Result


def keys(jobs: Sequence[Job]) -> list[Key]:
    """The identity of each job.

    Raises `Refusal` for data that is not there, a GPU that is missing, and a profile that is exceeded.
    """
    for job in jobs:
        profiles.refuse(job.config)
    return [teachers.key(job.config, signature(job.config)) for job in jobs]


def wanted_of(job: Job) -> WantedTrial:
    """What the row of a job is to say."""
    config, (key,) = job.config, keys([job])
    values = {"overrides": list(job.overrides), "config": redact(config), "seed": config.get("seed", 0)}
    values |= {"name": config.get("name"), "sweep": job.sweep, "source": job.source}
    return wanted(key, force=bool(config.get("force")), apart=job.apart, **values)


def twins(jobs: Sequence[Job], asked: Sequence[int]) -> list[list[int]]:
    """The indices that are asked for, those of one trial together; a `force` job is alone."""
    groups: dict[Any, list[int]] = {}
    for index, key in zip(asked, keys([jobs[index] for index in asked]), strict=True):
        config = jobs[index].config
        trial = index if config.get("force") else (key, config["store"]["url"])
        groups.setdefault(trial, []).append(index)
    return list(groups.values())


def answered(job: Job, by: Outcome) -> Outcome:
    """The outcome of a job that an equal one has run."""
    score = by.metrics.get(job.config["score"])
    return Outcome(job, "known", trial_id=by.trial_id, score=score, metrics=by.metrics, facts=by.facts)


def known(jobs: Sequence[Job]) -> list[Outcome | None]:
    """For each job its outcome when a trial with its key is done, else None, as for every `force` job.

    None too where what it asks for was left unmeasured: its process adds that.
    """
    asked = [None if job.config.get("force") else key for job, key in zip(jobs, keys(jobs), strict=True)]
    found: dict[Key, Result] = {}
    for url in sorted({job.config["store"]["url"] for job in jobs}):
        store = Store(url, late=True)
        try:
            found |= {} if store.is_new else store.known([key for key in asked if key is not None])
        finally:
            store.close()
    results = [None if key is None else found.get(key) for key in asked]
    return [
        None if result is None or lacking(result.facts, job.config) else outcome(job, result)
        for job, result in zip(jobs, results, strict=True)
    ]


def outcome(job: Job, result: Result) -> Outcome:
    """A known trial, its joules and carbon told as this job asks for them."""
    told = retold(result, job.config.get("meter"))
    score = told.metrics.get(job.config["score"])
    return Outcome(job, "known", trial_id=told.trial_id, score=score, metrics=told.metrics, facts=told.facts)


def lacking(facts: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """What a trial with these facts left unmeasured that `config` asks for: all but its own `unmeasured`."""
    own = config.get("unmeasured") or ()
    return [name for name in facts.get("unmeasured") or () if name not in own]


def spared(metrics: Sequence[str]) -> list[str]:
    """What a look for these metrics may leave out: latency, CPU time and energy of inference."""
    return [] if any(metric.startswith(("infer/", "compress/")) for metric in metrics) else ["infer"]
