"""Campaigns on a small task with known answers, through real rows of a real store."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign_lab import Findings, Lab, Scripted, energy, flat, opened
from refusal import Refusal
from research.campaign.charter import Screen
from research.propose.direct import Random
from research.report.cost import used
from research.types import Objective


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, Findings]]:
    """A lab whose campaign for less energy is over, for tests that only read it, or type it again."""
    with opened(tmp_path_factory.mktemp("ended")) as made:
        yield made, made.campaign(made.charter(energy()))


def test_a_campaign_finds_confirms_and_writes_down_what_saves_energy(ended: tuple[Lab, Findings]) -> None:
    _, found = ended
    assert [one.verdict.word for one in found.insights][-1] == "supported"
    insight = found.insights[-1]
    assert insight.verdict.comparison.high < 0 and insight.verdict.comparison.n >= 5
    assert "estimate" in insight.claim and "keeping test/accuracy >= 0.9" in insight.claim
    control, winner = found.arms("confirmed")[0], found.arms("confirmed")[-1]
    assert control.status == "control" and winner.status == "supported"
    assert winner.of("train/energy_j").mean < control.of("train/energy_j").mean
    assert winner.of("test/accuracy").mean >= 0.9


def test_the_winner_is_confirmed_on_seeds_that_chose_nothing(ended: tuple[Lab, Findings]) -> None:
    lab, found = ended
    looked = {seed for arm in found.arms("screened") + found.arms("promoted") for seed in arm.seeds}
    fresh = {seed for arm in found.arms("confirmed") for seed in arm.seeds}
    assert looked == {0, 1, 2, 3} and len(fresh) >= 5 and not looked & fresh
    trials = lab.store.trials(ids=found.insights[-1].verdict.trial_ids)
    assert {trial.seed for trial in trials} == fresh and len(trials) == 2 * len(fresh)


def test_timed_figures_are_confirmed_one_at_a_time_with_the_arms_interleaved(
    ended: tuple[Lab, Findings],
) -> None:
    lab, _ = ended
    first = next(place for place, line in enumerate(lab.ran) if "seed=1000" in line)
    assert set(lab.batches[-10:]) == {1}
    lines = lab.ran[first : first + 15]
    seeds = [line[-1] for line in lines]
    # Neighbours are the control, the control stopped at the bound and the contender of one seed.
    assert seeds[::3] == seeds[1::3] == seeds[2::3] and len({*lines}) == 15
    orders = [len(line) for line in lines[::3]]
    assert len(set(orders)) > 1, "which arm comes first is by lot"


@pytest.mark.slow
def test_exact_figures_may_be_confirmed_side_by_side(lab: Lab) -> None:
    smaller = Objective(metric="size/parameters", direction="min", constraints=energy().constraints)
    found = lab.campaign(lab.charter(smaller), [Scripted("model.width=64")])
    assert found.insights[-1].verdict.word == "supported" and 10 in lab.batches


@pytest.mark.slow
def test_proposers_see_no_test_figure(lab: Lab) -> None:
    scripted = Scripted("model.width=64", "model.width=32")
    lab.campaign(lab.charter(energy()), [scripted])
    shown = [*scripted.told, *(seen for state in scripted.states for seen in (state.control, *state.seen))]
    assert scripted.states[0].spread.keys() == {"train/energy_j", "val/accuracy"}
    assert shown and not [key for seen in shown for key in seen.metrics if key.startswith("test/")]


@pytest.mark.slow
def test_nothing_is_found_where_nothing_differs(tmp_path: Path) -> None:
    words = []
    for seed in range(3):
        with opened(tmp_path, flat) as lab:
            charter = lab.charter(energy(None), seed=seed, screen=Screen(turns=4))
            found = lab.campaign(charter, [Random(lab.space.vocabulary(), charter.fixed, seed)])
            words += [one.verdict.word for one in found.insights]
    assert "supported" not in words


@pytest.mark.slow
def test_a_broken_bound_is_never_supported(lab: Lab) -> None:
    found = lab.campaign(lab.charter(energy(0.9)), [Scripted("budget.steps=100")])
    # The screening already saw that 100 steps do not reach the floor; the control that is stopped does.
    assert not [row for row in found.found if "100" in row["insight"].claim]
    assert any("no proposal beat the control" in note for note in found.facts["notes"])


@pytest.mark.slow
def test_where_the_control_breaks_the_bound_the_claim_is_the_bound(lab: Lab) -> None:
    charter = lab.charter(energy(0.9)).model_copy(update={"fixed": ("data=digits", "budget.steps=150")})
    found = lab.campaign(charter, [Scripted("optimizer.lr=0.01")])
    claim = found.insights[-1]
    assert claim.verdict.word == "supported" and claim.verdict.comparison.metric == "test/accuracy"
    assert "the control breaks this bound" in claim.claim


def test_the_same_command_typed_again_trains_nothing_and_says_the_same(ended: tuple[Lab, Findings]) -> None:
    lab, first = ended
    ran = len(lab.ran)
    again = lab.campaign(lab.charter(energy()))
    assert len(lab.ran) == ran
    assert [one.claim for one in again.insights] == [one.claim for one in first.insights]
    assert used(again).trials == used(first).trials == ran - used(first).failed


@pytest.mark.slow
def test_repeats_are_counted_and_asked_again(lab: Lab) -> None:
    scripted = Scripted("model.width=64", "model.width=64", "model.width=128", "model.width=32")
    found = lab.campaign(lab.charter(energy()), [scripted])
    assert found.counts()["scripted"] == {"ran": 2, "repeat": 2}
    assert [seen.status for seen in scripted.told].count("repeat") == 2


@pytest.mark.slow
def test_what_the_gate_refuses_is_never_run_and_its_reason_is_kept(lab: Lab) -> None:
    hostile = ("optimizer._target_=os.system", "seed=${oc.env:HOME}", "data=digits", "model.width=99999")
    found = lab.campaign(lab.charter(energy()), [Scripted(*hostile, "model.width=64")])
    assert found.counts()["scripted"] == {"refused": 4, "ran": 1}
    assert not [line for line in lab.ran if "target" in str(line) or "99999" in str(line)]
    assert any("fixed by the goal" in reason for reason in found.reasons("refused"))
    assert "refused    1 of 4 proposals: 'optimizer._target_' selects the code" in lab.told.export_text()


@pytest.mark.slow
def test_a_failed_trial_is_told_counted_and_not_paid_for_again(lab: Lab) -> None:
    scripted = Scripted("optimizer.lr=0.09", "model.width=64")
    charter = lab.charter(energy())
    found = lab.campaign(charter, [scripted])
    assert found.counts()["scripted"] == {"failed": 1, "ran": 1}
    assert [seen.status for seen in scripted.told].count("failed") == 1
    assert "diverged" in next(iter(found.reasons("failed")))
    ran = len(lab.ran)
    again = lab.campaign(charter, [Scripted("optimizer.lr=0.09", "model.width=64")])
    assert len(lab.ran) == ran and again.counts()["scripted"]["failed"] == 1


def test_a_control_that_cannot_run_ends_the_campaign_with_its_reason(lab: Lab) -> None:
    def missing(config: dict, rng: random.Random) -> dict[str, float]:
        raise ArithmeticError("refused: the data is not here: bring it with data.path=FOLDER")

    lab.task = missing
    sprint = lab.sprint(lab.charter(energy()))
    with pytest.raises(Refusal, match=r"data\.path=FOLDER"):
        sprint.run([Scripted("model.width=64")])
    assert len(lab.ran) == 2
    assert [row["status"] for row in lab.store.sprints()] == ["failed"]


def test_a_metric_that_is_not_measured_is_refused_after_the_control(lab: Lab) -> None:
    with pytest.raises(Refusal, match=r"does not measure val/f1"):
        lab.campaign(lab.charter(Objective(metric="test/f1", direction="max")), [Scripted("model.width=64")])
    assert len(lab.ran) == 1


@pytest.mark.slow
def test_an_interrupt_reports_what_is_done_and_the_same_command_continues(lab: Lab) -> None:
    charter = lab.charter(energy())
    lab.interrupt_after = 9
    sprint = lab.sprint(charter)
    with pytest.raises(KeyboardInterrupt):
        sprint.run(lab.proposers(charter))
    report = (sprint.folder / "report.md").read_text()
    assert "interrupted: the same command continues" in report
    lab.interrupt_after = None
    found = lab.campaign(charter)
    assert found.insights[-1].verdict.word == "supported"
    assert len(lab.ran) == len({*lab.ran})


def test_equal_charters_share_a_folder_and_different_ones_do_not(lab: Lab) -> None:
    one, other = lab.charter(energy()), lab.charter(energy(), seed=1)
    assert one.name == lab.charter(energy()).name != other.name
    assert one.name.startswith("a-test-goal-")
