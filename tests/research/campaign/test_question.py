"""One ledger for a question: whoever asks it again spends from the same rate, and no kill spends twice."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.alpha_ledger import AlphaLedger
from campaign_lab import Lab, Scripted, energy, flat, opened
from empty_stores import laid
from research.campaign.charter import Confirm
from research.campaign.judging import Question, asked, digest_of_data, unkept
from research.goal.goal import Goal
from research.stats.alpha import left, share
from research.store.store import Store

WORDS = st.lists(st.sampled_from(["supported", "refuted", "open"]), min_size=1, max_size=8)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with opened(tmp_path, flat) as made:
        yield made


def smaller(config: dict, rng: random.Random) -> dict[str, float]:
    """Narrower networks cost less, by about a tenth with each halving."""
    return {
        **flat(config, rng),
        "train/energy_j": config["model"]["width"] ** 0.15 * (1 + rng.gauss(0, 0.01)),
    }


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(words=WORDS, campaigns=st.integers(1, 3), killed=st.sets(st.integers(0, 7)))
def test_any_order_of_campaigns_and_kills_is_one_sequence(
    tmp_path_factory: pytest.TempPathFactory, words: list, campaigns: int, killed: set[int]
) -> None:
    store = Store(laid(tmp_path_factory.mktemp("ledger") / "lab.db"))
    whole, rates = AlphaLedger(0.05), []
    for at, word in enumerate(words):
        asking = Question(store, "min joules", 0.05, f"campaign {at % campaigns}")
        if at in killed:  # begun, killed before it ended, and typed again
            before = Question(store, "min joules", 0.05, f"campaign {at % campaigns}").turn(f"arm {at}")
            assert before == asking.turn(f"arm {at}")
        turn = asking.turn(f"arm {at}")
        assert turn.rate == whole.rate and turn.number == at + 1
        assert turn.left == pytest.approx(left(0.05, at + 1))
        rates.append(turn.refuted)
        asking.end(turn, word, [5])
        whole._count(word == "supported")
    assert sum(rates) <= 0.05 * sum(share(number + 1) for number in range(len(words)))
    assert Question(store, "another", 0.05, "campaign").turn("arm").number == 1
    store.close()


def test_what_nobody_has_looked_at_spends_nothing(lab: Lab) -> None:
    asking = Question(lab.store, "q", 0.05, "c")
    first = asking.turn("a")
    asking.end(first, "open")
    assert asking.turn("b").number == 1 and asking.words == []


def test_seeds_that_any_trial_has_had_are_passed_over(lab: Lab) -> None:
    config = lab.space.resolve(["data=digits", "seed=1003"]) | {"store": {"url": "x"}}
    from research.run.runner import Job

    assert lab.one(Job(config, ["seed=1003"], sweep=None, source="person")).ok  # by hand
    asking = Question(lab.store, "q", 0.05, "c", digest_of_data(config))
    one = asking.turn("a", 1000, 5)
    assert one.first == 1004 and asking.turn("a", 1000, 5) == one
    assert asking.turn("b", 1000, 5).first == 1009, "also where no trial of the first has run yet"
    assert Question(lab.store, "q", 0.05, "c", "other data").turn("c", 1000, 5).first == 1014


def test_another_wording_seed_bound_or_budget_is_the_same_question(lab: Lab) -> None:
    agreed = lab.charter(energy(0.9))
    key = asked(lab.space, agreed.goal.objective.model_dump(), agreed.fixed)
    assert key == asked(lab.space, energy(0.85).model_dump(), ["budget.steps=100", *agreed.fixed])
    assert key == asked(lab.space, energy(0.9).model_dump(), ["optimizer=adamw", *agreed.fixed])
    assert key != asked(lab.space, energy(0.9).model_dump(), ["optimizer=lion", *agreed.fixed])
    score = energy(0.9).model_copy(update={"metric": "train/seconds"})
    assert key != asked(lab.space, score.model_dump(), agreed.fixed)


@pytest.mark.slow
def test_a_goal_in_other_words_goes_on_with_the_ledger_on_other_seeds(tmp_path: Path) -> None:
    with opened(tmp_path, smaller) as lab:
        told = []
        for seed, text in enumerate(("fewer joules", "less energy please")):
            agreed = lab.charter(energy(None), seed=seed, confirm=Confirm(arms=1, looks=1, margin=None))
            agreed = agreed.model_copy(update={"goal": Goal(text=text, objective=energy(None))})
            told += lab.campaign(agreed, [Scripted(f"model.width={64 // (seed + 1)}")]).found
        assert [row["facts"]["ledger"]["number"] for row in told] == [1, 2]
        seeds = [
            {trial.seed for trial in lab.store.trials(ids=row["insight"].verdict.trial_ids)} for row in told
        ]
        assert len(seeds[0]) == len(seeds[1]) == 5 and not seeds[0] & seeds[1]
        levels = [row["insight"].verdict.comparison.tail for row in told]
        carried = levels[0] if told[0]["word"] == "supported" else 0.0
        assert levels[1] == pytest.approx(0.85 * 0.05 * share(2) + carried)


def test_comparisons_from_before_there_was_a_ledger_count(lab: Lab) -> None:
    agreed = lab.charter(energy(None))
    facts = {"charter": agreed.model_dump(mode="json"), "comparisons": ["open", "open", "supported"]}
    rows = [{"facts": facts}, {"facts": facts | {"question": "kept"}}, {"facts": {}}]
    key = asked(lab.space, energy(None).model_dump(), agreed.fixed)
    assert unkept(lab.space, rows, key) == 3 and unkept(lab.space, rows, "max test/accuracy") == 0
    assert Question(lab.store, key, 0.05, "c", "", 3).turn("a").number == 4
