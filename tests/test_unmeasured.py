"""What a cheap look left unmeasured is added under the same identity, from the very weights."""

import copy
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import torch

import train
from models.compress import artefact
from refusal import Refusal
from research.run import lookup
from research.run.runner import Job
from research.space.gate import Space
from research.store import schema
from research.store.store import Store

CONF = Path(__file__).parent.parent / "conf"
SPACE = Space(CONF, CONF / "space.yaml")


@pytest.fixture
def asked(tmp_path: Path) -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def config(*overrides: str) -> dict[str, Any]:
        fixed = [
            "budget.epochs=null",
            "budget.seconds=null",
            "budget.joules=null",
            "budget.steps=20",
            "logger=none",
        ]
        found = SPACE.resolve([*fixed, *overrides])
        return found | {"root": str(tmp_path / "runs"), "store": {"url": f"sqlite:///{tmp_path}/trials.db"}}

    yield config
    torch.set_num_threads(threads)


def run(config: dict[str, Any]) -> dict[str, Any]:
    return train.trial(copy.deepcopy(config), overrides=[], threads=1)


def rows(config: dict[str, Any]) -> list[Any]:
    store = Store(config["store"]["url"])
    try:
        return store.trials()
    finally:
        store.close()


def test_it_is_added_to_the_same_row_without_training(asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cheap = run(asked("unmeasured=[infer]"))
    assert cheap["facts"]["unmeasured"] == ["infer"] and not [
        k for k in cheap["metrics"] if k.startswith("infer/")
    ]
    weights = artefact.load(Path(cheap["folder"]) / "weights.pt")
    assert run(asked("unmeasured=[infer]"))["status"] == "known"
    monkeypatch.setattr(train, "measure", lambda *_: pytest.fail("it is trained again"))
    job = Job(asked(), [])
    assert lookup.known([job]) == [None]  # its process is to add it
    whole = run(asked())
    assert whole["status"] == "known" and whole["trial_id"] == cheap["trial_id"] and len(rows(asked())) == 1
    assert "unmeasured" not in whole["facts"] and whole["facts"]["infer"]["rounds"] >= 3
    added = {key for key in whole["metrics"] if key.startswith("infer/")}
    assert {"infer/latency_s_p50", "infer/cpu_seconds_per_sample", "infer/energy_j_per_sample"} <= added
    assert {k: v for k, v in whole["metrics"].items() if k not in added} == cheap["metrics"]
    after = artefact.load(Path(whole["folder"]) / "weights.pt")
    assert all(torch.equal(weights[name], after[name]) for name in weights)
    assert run(asked("unmeasured=[infer]"))["metrics"] == whole["metrics"]
    (outcome,) = lookup.known([job])
    assert outcome is not None and outcome.metrics == whole["metrics"]


def test_the_first_of_two_who_measured_is_heard(asked: Any) -> None:
    cheap = run(asked("unmeasured=[infer]"))
    store = Store(asked()["store"]["url"])
    for value in (1.0, 2.0):
        stands = store.complete(
            cheap["trial_id"], {"infer/latency_s_p50": value}, {"infer": {"rounds": value}}
        )
        assert stands.metrics["infer/latency_s_p50"] == 1.0 and stands.facts["infer"] == {"rounds": 1.0}
    store.close()


@pytest.mark.slow
def test_a_trial_whose_weights_are_gone_is_run_again(asked: Any) -> None:
    cheap = run(asked("unmeasured=[infer]"))
    (Path(cheap["folder"]) / "weights.pt").unlink()
    whole = run(asked())
    assert whole["status"] == "done" and "infer/latency_s_p50" in whole["metrics"]
    assert whole["trial_id"] != cheap["trial_id"] and len(rows(asked())) == 2
    assert run(asked())["trial_id"] == whole["trial_id"]


@pytest.mark.slow
def test_its_replicate_answers_also_where_its_training_was_disturbed(asked: Any) -> None:
    cheap = run(asked("unmeasured=[infer]"))
    (Path(cheap["folder"]) / "weights.pt").unlink()
    whole = run(asked())
    store = Store(asked()["store"]["url"])
    for one, disturbed in ((cheap, {}), (whole, {"train": "somebody else was computing"})):
        told = store.results([one["trial_id"]])[one["trial_id"]].facts | {"disturbed": disturbed}
        with store.write() as connection:
            own = sa.update(schema.trial).where(schema.trial.c.id == one["trial_id"])
            connection.execute(own.values(facts=told))
    store.close()
    again = run(asked())
    assert (again["status"], again["trial_id"]) == ("known", whole["trial_id"]) and len(rows(asked())) == 2
    assert run(asked("unmeasured=[infer]"))["trial_id"] == cheap["trial_id"]


def test_damaged_weights_are_no_network_s(asked: Any) -> None:
    cheap = run(asked("unmeasured=[infer]"))
    file = Path(cheap["folder"]) / "weights.pt"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(Refusal, match="damaged"):
        run(asked())
    assert [row.status for row in rows(asked())] == ["done"]


@pytest.mark.slow
def test_a_compression_is_always_timed(asked: Any) -> None:
    found = run(asked("unmeasured=[infer]", "compress=[prune50]"))
    assert "unmeasured" not in found["facts"] and "infer/latency_s_p50" in found["metrics"]


def test_only_what_can_be_added_later_may_be_left_out(asked: Any) -> None:
    with pytest.raises(Refusal, match=r"only \[infer\]"):
        run(asked("unmeasured=[numerics]"))
