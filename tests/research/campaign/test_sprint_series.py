"""A campaign of several sprints: one sequence, continued after a kill, read when it is finished."""

import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from campaign_lab import Lab, energy, flat, opened
from research.campaign.budget import Spend
from research.campaign.charter import Charter, Confirm, Promote, Screen, Sprints
from research.campaign.trials import alone
from research.report.findings import of_campaign
from research.store.store import Store
from team_lab import series

FILES = {"sprint_summary.json", "proposals.json", "commands.sh", "results.json", "report.md"}


@pytest.fixture
def nothing(tmp_path: Path) -> Iterator[Lab]:
    with opened(tmp_path, flat) as made:
        yield made


def charter(lab: Lab, count: int = 2, floor: float | None = None, **more) -> Charter:
    small = {"screen": Screen(turns=2), "promote": Promote(arms=1, seeds=(1,))}
    stages = {**small, "confirm": Confirm(arms=1, seeds=3, looks=1), "sprint": Sprints(count=count)}
    return lab.charter(energy(floor), **{**stages, **more})


def rows(lab: Lab) -> tuple:
    """Everything that a campaign has written but the trials."""
    kept = [(row["id"], row["status"], row["proposal"].overrides) for row in lab.store.proposals()]
    return lab.store.sprints(), kept, lab.store.insights(), len(lab.store.reviews())


@pytest.mark.slow
def test_each_sprint_leaves_its_folder_and_the_campaign_its_papers(nothing: Lab) -> None:
    report = series(nothing, charter(nothing))
    assert report.name == "report.md" and (report.parent / "research_summary.md").exists()
    for number, row in enumerate(nothing.store.sprints(), 1):
        folder = report.parent / f"sprint-{number}"
        assert {path.name for path in folder.iterdir() if path.suffix != ".svg"} == FILES
        assert row["folder"] == str(folder) and row["facts"]["number"] == number
        summary = json.loads((folder / "sprint_summary.json").read_text())
        assert summary["boxes"].keys() == {"discuss", "implement", "validate"}
        lines = (folder / "commands.sh").read_text().splitlines()
        assert lines[0] == "#!/bin/sh" and any("train.py" in line and "seed=" in line for line in lines)
        ran = {one["trial"] for one in json.loads((folder / "results.json").read_text())}
        assert ran <= {trial.id for trial in nothing.store.trials()} and ran
    assert not list(report.parent.rglob("*.new"))


@pytest.mark.slow
def test_later_sprints_repeat_nothing_and_continue_the_error_control(nothing: Lab) -> None:
    agreed = charter(nothing, count=3)
    series(nothing, agreed)
    sprints = nothing.store.sprints()
    assert [row["facts"]["number"] for row in sprints] == [1, 2, 3]
    proposed = [
        row["facts"]["signature"]
        for row in nothing.store.proposals()
        if row["proposal"].proposer != "control" and "carried" not in row["facts"]
        if row["status"] not in ("repeat", "refused")
    ]
    assert len(proposed) == len({*proposed}) >= 6
    words = [word for row in sprints for word in row["facts"]["comparisons"]]
    kept = nothing.store.comparisons(sprints[0]["facts"]["question"])
    assert [row["word"] for row in kept] == words and len(words) >= 1
    assert [row["facts"]["number"] for row in kept] == list(range(1, len(words) + 1))
    levels = [row["insight"].verdict.comparison.level for row in nothing.store.insights()]
    assert levels == sorted(levels) and len({*levels}) == len(levels)


@pytest.mark.slow
def test_a_confirmed_target_ends_the_campaign(lab: Lab) -> None:
    agreed = lab.charter(energy(), sprint=Sprints(count=5))
    series(lab, agreed)
    assert len(lab.store.sprints()) == 1
    assert lab.store.sprints()[0]["facts"]["ended"].startswith("the target is reached")


@pytest.mark.slow
def test_a_spent_budget_ends_the_campaign(nothing: Lab) -> None:
    series(nothing, charter(nothing, count=9), Spend(trials=14))
    sprints = nothing.store.sprints()
    assert len(sprints) < 9 and "budget.trials=14" in sprints[-1]["facts"]["ended"]


@pytest.mark.slow
def test_a_finished_campaign_typed_again_trains_nothing_and_opens_no_row(nothing: Lab) -> None:
    agreed = charter(nothing)
    report = series(nothing, agreed)
    said, before, ran = report.read_text(), rows(nothing), len(nothing.ran)
    assert series(nothing, agreed).read_text() == said
    assert rows(nothing) == before and len(nothing.ran) == ran


@pytest.mark.slow
def test_killed_at_any_trial_the_same_command_comes_to_the_same(tmp_path: Path) -> None:
    with opened(tmp_path) as whole:
        agreed = charter(whole, floor=0.9)
        series(whole, agreed)
        expected, total = rows(whole)[1], len(whole.ran)
        claims = [row["insight"].claim for row in whole.store.insights()]
    for after in range(0, total, 5):
        with opened(tmp_path) as lab:
            lab.interrupt_after = after
            with pytest.raises(KeyboardInterrupt):
                series(lab, agreed)
            # As SIGKILL leaves it: the row says that it still runs.
            last = lab.store.sprints()[-1]
            lab.store.set_sprint(last["id"], "running")
            lab.interrupt_after = None
            series(lab, agreed)
            assert rows(lab)[1] == expected and len(lab.ran) == len({*lab.ran}) == total
            assert [row["insight"].claim for row in lab.store.insights()] == claims
            assert [row["status"] for row in lab.store.sprints()] == ["done"] * len(lab.store.sprints())


def asking(lab: Lab, effect: float, count: int) -> Charter:
    """A charter that counts nothing below an effect; any accuracy will do."""
    agreed = charter(lab, count, 0.1)
    goal = agreed.goal.model_copy(update={"smallest_effect": effect})
    return agreed.model_copy(update={"goal": goal, "ladder": None})


@pytest.mark.slow
def test_nothing_is_promoted_before_it_shows_the_asked_effect(lab: Lab) -> None:
    agreed = asking(lab, 0.9, 4)
    series(lab, agreed)
    control = lab.store.proposals()[0]
    joules = lab.store.results(control["facts"]["screened"])[control["facts"]["screened"][0]]
    asked = 0.1 * joules.metrics["train/energy_j"]
    last = lab.store.sprints()[-1]
    promoted = [row for row in lab.store.proposals() if row["facts"].get("promoted")]
    for row in (one for one in promoted if one["status"] != "control" and one["sprint_id"] != last["id"]):
        (screened,) = lab.store.results(row["facts"]["screened"]).values()
        assert screened.metrics["train/energy_j"] <= asked
    first = lab.store.sprints()[0]["facts"]["notes"]
    assert any("no screened proposal shows the asked effect yet" in one for one in first)


def lucky(config: dict, rng: random.Random) -> dict[str, float]:
    """Whatever is turned saves 60 % on the seed that is screened, and 5 % on every other."""
    turned = config["model"]["width"] != 128 or config["optimizer"]["lr"] != 0.001
    saved = (0.4 if config["seed"] == 0 else 0.95) if turned or config["budget"]["steps"] != 400 else 1.0
    return {**flat(config, rng), "train/energy_j": 10 * saved * (1 + rng.gauss(0, 0.001))}


@pytest.mark.slow
def test_nothing_is_confirmed_before_the_promotion_shows_the_asked_effect(tmp_path: Path) -> None:
    with opened(tmp_path, lucky) as lab:
        series(lab, asking(lab, 0.5, 2))
        first, last = lab.store.sprints()
        assert not lab.store.insights(sprint_id=first["id"])
        assert any("promotion seeds do not show the asked effect" in one for one in first["facts"]["notes"])
        # The last sprint has nothing to wait for.
        assert [row["word"] for row in lab.store.insights(sprint_id=last["id"])] == ["refuted"]


@pytest.mark.slow
def test_a_sprint_that_can_do_nothing_more_is_the_last(nothing: Lab) -> None:
    """The least that could decide would fit into what is left, and a screening with its reserve does not."""
    series(nothing, asking(nothing, 0.0, 9), Spend(trials=10))
    first, last = nothing.store.sprints()
    assert "ended" not in first["facts"]
    assert last["facts"]["ended"] == "nothing that is left fits into the budget"


@pytest.mark.slow
def test_what_later_sprints_carry_on_is_counted_once(nothing: Lab) -> None:
    agreed = charter(nothing, count=4)
    series(nothing, agreed)
    found = of_campaign(nothing.store, agreed.name)
    told = [row["proposal"].overrides for row in found.experiments if row["status"] != "control"]
    ran = [row for row in nothing.store.proposals() if row["status"] != "control"]
    fresh = [row["proposal"].overrides for row in ran if "carried" not in row["facts"]]
    assert len(fresh) < len(ran) and sorted(told) == sorted(fresh)
    assert sum(sum(ended.values()) for ended in found.counts().values()) == len(fresh)


def test_two_processes_do_not_run_one_campaign(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("research.campaign.trials.POLL_S", 0.02)
    first, later = (
        SimpleNamespace(
            store=Store(lab.store._url), lines=SimpleNamespace(say=lambda text, style: said.append(text))
        )
        for _ in range(2)
    )
    said, waited, ended = list[str](), threading.Event(), list[str]()

    def second() -> None:
        with alone(later, "campaign c", tmp_path / "c"):  # type: ignore[arg-type]
            ended.append("second")

    other = threading.Thread(target=second)
    with alone(first, "campaign c", tmp_path / "c"):  # type: ignore[arg-type]
        other.start()
        while not said:
            waited.wait(0.02)
        ended.append("first")
    other.join(20)
    assert ended == ["first", "second"] and "campaign c runs already, on" in said[0] and len(said) == 1
    first.store.close(), later.store.close()
