"""A past for tests of memory: trials with figures, sprints, experiments and insights of some tasks."""

from collections.abc import Mapping, Sequence
from typing import Any

from research.stats.verdicts import judge
from research.store.store import Store, TrialClaim
from research.types import Insight, Key, Objective, Proposal

ENERGY = Objective(metric="train/energy_j", direction="min")
ACCURACY = Objective(metric="test/accuracy", direction="max")


def trial(
    store: Store,
    overrides: Sequence[str],
    figures: Mapping[str, float] | None,
    *,
    task: str = "digits",
    seed: int = 0,
    reason: str = "diverged: the loss is nan",
    config: Mapping[str, Any] | None = None,
    key: Key | None = None,
) -> int:
    """A trial that is done, or failed without figures."""
    own = [f"data={task}", *overrides, f"seed={seed}"]
    asked = key or Key(" ".join(own), "c", "d", "h")
    got = store.claim(asked, config=config or {}, overrides=own, seed=seed, source="agent")
    assert isinstance(got, TrialClaim)
    if figures is None:
        store.fail(got, reason)
    else:
        store.finish(got, figures)
    return got.trial_id


def sprint(store: Store, task: str = "digits", goal: str = "fewer joules", campaign: str = "one") -> int:
    facts = {"campaign": campaign, "charter": {"fixed": [f"data={task}"]}}
    return store.add_sprint(goal, objective=ENERGY.model_dump(mode="json"), status="done", facts=facts)


def proposed(
    store: Store, sprint_id: int | None, overrides: Sequence[str], words: str = "h", **more: Any
) -> int:
    screened = more.pop("screened", [])
    proposal = Proposal(hypothesis=words, overrides=tuple(overrides), **more)
    return store.add_proposal(proposal, sprint_id=sprint_id, status="screened", facts={"screened": screened})


def insight(store: Store, sprint_id: int, proposal_id: int, trial_ids: Sequence[int] = ()) -> int:
    verdict = judge({0: 1.0}, {0: 2.0}, metric="test/accuracy", trial_ids=list(trial_ids))
    told = Insight(claim="test accuracy 0.987654", verdict=verdict, energy_method="estimated", command="x")
    return store.add_insight(told, sprint_id=sprint_id, proposal_id=proposal_id)
