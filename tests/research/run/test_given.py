"""`task=compress` on a line of train.py, what it needs, and the table that it ends with."""

import base64

import pytest

from refusal import Refusal
from research.run import sweep_table
from research.run.given import check_given, is_given, spelled
from research.run.runner import Job, Outcome
from research.run.sweep_table import arms

GIVEN = {"_target_": "models.training.budget.Given"}


def test_the_line_is_a_sweep_that_begins_with_the_model_as_it_is():
    line = ["task=compress", "model.weights=a.pt", "compress=[structured,int8_static],[],[bf16]"]
    assert spelled(line) == [
        "-m",
        "compress=[],[structured,int8_static],[bf16]",
        "budget=given",
        "launcher.jobs=1",
        "data.batch_size=64",
        "model.weights=a.pt",
    ]


def test_what_is_typed_stays_and_nothing_else_is_touched():
    typed = ["-m", "task=compress", "budget=epochs", "data.batch_size=8", "launcher.jobs=2"]
    assert spelled(typed) == ["compress=[],[int8_static]", "-m", *typed[2:]]
    assert spelled(["optimizer=adam", "compress=[bf16]"]) == ["optimizer=adam", "compress=[bf16]"]
    assert spelled(["task=research", "a=1"]) == ["task=research", "a=1"]


def test_the_length_of_a_training_that_there_is_not_is_refused_with_the_keys_that_there_are():
    line = ["task=compress", "model.weights=a.pt"]
    for text in ("budget.steps=5", "budget.seconds=9"):
        with pytest.raises(Refusal, match=r"budget\.\w+ has nothing to bound: write budget\.finetune=STEPS"):
            spelled([*line, text])
    assert spelled([*line, "budget.finetune=5"])[-1] == "budget.finetune=5"
    assert spelled([*line, "budget=default", "budget.steps=5"])[-1] == "budget.steps=5"


def test_a_network_that_is_neither_trained_nor_given_is_refused():
    check_given({"budget": GIVEN, "model": {"weights": "a.pt"}})
    check_given({"budget": {"_target_": "models.training.budget.Budget"}, "model": {"weights": None}})
    with pytest.raises(Refusal, match=r"model\.weights=FILE"):
        check_given({"budget": GIVEN, "model": {"weights": None}})
    assert not is_given({}) and is_given({"budget": GIVEN})


def bits(right: str) -> dict[str, object]:
    packed = int(right.ljust(-(-len(right) // 8) * 8, "0"), 2).to_bytes(-(-len(right) // 8), "big")
    return {"accuracy": {"bits": base64.b64encode(packed).decode(), "count": len(right)}}


def outcome(steps: dict[str, object], right: str, **metrics: float) -> Outcome:
    config = {"budget": GIVEN, "compress": {"tolerance": None, **steps}}
    facts = {
        "examples": bits(right),
        "compress": {name: {"backend": "openvino"} for name in steps},
        "infer": {"batch": 64},
        "energy_method": "estimated",
        "energy_basis": "4 W",
    }
    own = {
        "test/accuracy": right.count("1") / len(right),
        "size/bytes": 1000.0,
        "infer/latency_s_p50": 2e-3,
        "infer/latency_s_p95": 3e-3,
        "infer/latency_s_p50_batch": 2e-2,
        "infer/latency_s_p95_batch": 3e-2,
        "infer/cpu_seconds_per_sample": 4e-4,
        "infer/energy_j_per_sample": 2e-3,
    }
    overrides = [f"compress=[{','.join(steps)}]", "budget=given"]
    return Outcome(Job(config, overrides), "done", trial_id=1, metrics=own | metrics, facts=facts)


def test_the_table_holds_each_against_the_given_model_by_example():
    first = outcome({}, "1" * 90 + "0" * 10)
    gains = {"compress/bytes_ratio": 0.26, "compress/speedup": 4.0, "compress/speedup_single": 2.5}
    other = outcome({"int8_static": {"batches": 16}}, "0" + "1" * 90 + "0" * 9, **gains)
    heads, rows = sweep_table.rows(arms([first, other]), "val/accuracy", given=True)
    told = [dict(zip(heads, row, strict=True)) for row in rows]
    assert [row["backend"] for row in told] == ["torch", "openvino"]
    # 0.9 of 100 by Student's t: 1.984 x 0.3015 / 10; of differences +1 and -1 once each 1.984 x 0.1421 / 10.
    assert told[0]["test/accuracy"] == "0.9000 ± 0.06" and told[0]["lost"] == ""
    assert told[1]["lost"] == "+0.0000 ± 0.028"
    assert told[1]["bytes"] == "1 kB (0.26)"
    assert told[1]["one: p50, p95"] == "2 ms, 3 ms" and told[1]["64: p50, p95"] == "20 ms, 30 ms"
    speeds = [cell for head, cell in zip(heads, rows[1], strict=True) if head == "times as fast"]
    assert speeds == ["2.50", "4.00"]
    assert told[1]["CPU s of 1,000"] == "400 ms" and told[1]["J of 1,000"] == "2 J"
    assert "estimated (4 W)" in sweep_table.caption(arms([first, other]), given=True)


def test_a_loss_that_is_small_is_a_gain_of_the_score():
    first, other = outcome({}, "1" * 8), outcome({"bf16": {}}, "1" * 8)
    for one, loss in ((first, 0.5), (other, 0.75)):
        one.metrics["test/loss"] = loss
        one.facts.pop("examples")
    heads, rows = sweep_table.rows(arms([first, other]), "val/loss", given=True)
    assert rows[1][heads.index("lost")] == "+0.2500"


def test_without_the_given_model_nothing_is_lost_to_it():
    heads, rows = sweep_table.rows(arms([outcome({"bf16": {}}, "11")]), "val/accuracy", given=True)
    assert rows[0][heads.index("lost")] == ""
