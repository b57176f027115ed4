"""`train.py` as a person uses it: a trial leaves one complete row, twice runs once, failures say why."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import refusal
import train
from pseudo_terminal import written
from research.store.store import Store

ROOT = Path(__file__).parent.parent
KEYS = {
    "test/accuracy", "test/f1", "test/precision", "test/recall", "test/auroc", "test/loss",
    "val/accuracy", "val/loss", "val/f1", "val/precision", "val/recall", "val/auroc",
    "train/seconds", "train/energy_j", "train/co2_kg", "train/steps_per_second",
    "train/peak_bytes", "step/energy_j", "infer/latency_s_p50", "infer/latency_s_p95",
    "infer/samples_per_second", "infer/energy_j_per_sample", "size/bytes", "size/parameters",
    "size/nonzeros", "compute/flops_forward", "compute/flops_train", "stability/grad_norm_mean",
    "stability/nonfinite_steps", "numerics/error_vs_fp32",
}  # fmt: skip


def command(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python train.py` in an empty folder."""
    line = [sys.executable, str(ROOT / "train.py"), *arguments]
    env = os.environ | {"WANDB_MODE": "offline"} | environment
    return subprocess.run(line, cwd=cwd, capture_output=True, text=True, env=env, check=False)


@pytest.mark.slow
def test_a_trial_leaves_one_row_with_every_key(resolve: Callable[..., Any], tmp_path: Path) -> None:
    answer = train.trial(resolve("budget.steps=60"), overrides=["budget.steps=60"])
    store = Store(f"sqlite:///{tmp_path}/lab.db")
    (row,) = store.trials()
    result = store.results([row.id])[row.id]
    assert row.status == "done" and row.overrides == ("budget.steps=60",) and answer["status"] == "done"
    assert result.metrics.keys() >= KEYS
    assert result.metrics == answer["metrics"]
    assert result.facts["energy_method"] and len(result.facts["confusion"]) == 10
    curve = store.curve(row.id)
    assert curve[-1]["step"] == 60 and {"second", "joule", "val/accuracy", "train/loss"} <= curve[-1].keys()


@pytest.mark.slow
def test_the_same_trial_twice_runs_once(resolve: Callable[..., Any], tmp_path: Path) -> None:
    first = train.trial(resolve("budget.steps=20"), overrides=[])
    again = train.trial(resolve("budget.steps=20", "name=other", "score=val/loss"), overrides=[])
    assert again["status"] == "known" and again["metrics"] == first["metrics"]
    assert again["score"] == first["metrics"]["val/loss"]
    forced = train.trial(resolve("budget.steps=20", "force=true"), overrides=[])
    assert forced["status"] == "done" and forced["trial_id"] != first["trial_id"]
    assert forced["metrics"]["test/accuracy"] == first["metrics"]["test/accuracy"]
    assert [row.replicate for row in Store(f"sqlite:///{tmp_path}/lab.db").trials()] == [0, 1]


def test_a_failure_leaves_its_reason_and_can_be_tried_again(
    resolve: Callable[..., Any], tmp_path: Path
) -> None:
    bad = resolve("budget.steps=50", "optimizer=sgd", "optimizer.lr=1e30")
    for _ in range(2):
        with pytest.raises(Exception, match="loss"):
            train.trial(bad, overrides=[])
    (row,) = Store(f"sqlite:///{tmp_path}/lab.db").trials()
    assert row.status == "failed" and row.reason.startswith("diverged: ")


@pytest.mark.slow
def test_another_seed_is_another_trial_with_another_result(resolve: Callable[..., Any]) -> None:
    losses = {
        train.trial(resolve("budget.steps=20", f"seed={n}"), overrides=[])["metrics"]["test/loss"]
        for n in (0, 1, 2)
    }
    assert len(losses) == 3


def test_an_unknown_score_is_refused_before_anything_is_trained(
    resolve: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises(refusal.Refusal, match="val/accuracy"):
        train.trial(resolve("score=val/acuracy"), overrides=[])
    assert not (tmp_path / "lab.db").exists()


@pytest.mark.slow
@pytest.mark.parametrize("compress", ["[]", "[bf16]", "[low_rank]"])
def test_flops_of_training_are_of_the_network_that_was_trained(
    resolve: Callable[..., Any], tmp_path: Path, compress: str
) -> None:
    metrics = train.trial(resolve("budget.steps=5", f"compress={compress}"), overrides=[])["metrics"]
    with Store(f"sqlite:///{tmp_path}/lab.db").read() as connection:
        (paid,) = connection.execute(sa.text("select joules from attempt")).scalars()
    assert paid == pytest.approx(metrics["train/energy_j"]), "a budget counts what a compression took"
    # Of 64 inputs, 128 units and 10 classes: the first layer's input needs no gradient.
    assert metrics["compute/flops_train"] == 2 * (2 * 64 * 128) + 3 * (2 * 128 * 10)
    forward = metrics["compute/flops_forward"]
    assert forward < 18944 if compress == "[low_rank]" else forward == 18944


@pytest.mark.slow
@pytest.mark.parametrize("score", ["val/f1", "val/precision", "val/recall", "val/auroc"])
def test_a_detailed_score_of_the_final_validation_is_a_score(resolve: Callable[..., Any], score: str) -> None:
    answer = train.trial(resolve("budget.steps=20", f"score={score}"), overrides=[])
    assert answer["score"] == answer["metrics"][score]
    assert 0 < answer["score"] <= 1
    # The confusion matrix among the facts is the test's.
    confusion = answer["facts"]["confusion"]
    right = sum(row[index] for index, row in enumerate(confusion))
    assert right / sum(map(sum, confusion)) == pytest.approx(answer["metrics"]["test/accuracy"])


@pytest.mark.parametrize(
    ("data", "score", "only"),
    [
        ("mqar", "val/f1", "classification"),
        ("mqar", "test/bits_per_byte", "language"),
        ("digits", "val/bits_per_byte", "language"),
    ],
)
def test_a_score_of_another_task_is_refused_before_anything_is_trained(
    resolve: Callable[..., Any], tmp_path: Path, data: str, score: str, only: str
) -> None:
    model = "gpt" if data == "mqar" else "mlp"
    with pytest.raises(refusal.Refusal, match=f"{score} is measured for {only}"):
        train.trial(resolve(f"data={data}", f"model={model}", f"score={score}"), overrides=[])
    assert not (tmp_path / "lab.db").exists()


def test_an_unwritable_folder_is_one_sentence(resolve: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(refusal.Refusal, match="root"):
        train.trial(resolve(f"root={tmp_path}/file/runs"), overrides=[])


@pytest.mark.slow
def test_the_command_trains_logs_and_knows_itself(tmp_path: Path) -> None:
    first = command("budget.steps=40", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert (
        "test/accuracy" in first.stdout
        and "estimated" in first.stdout + "nvml"
        and "wandb sync" in first.stdout
    )
    (summary,) = tmp_path.glob("runs/*/wandb/offline-run-*/run-*.wandb")
    leet = subprocess.run(
        [Path(sys.executable).parent / "wandb", "leet", "inspect", "--summary", "--json", str(summary)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "test/accuracy" in leet.stdout and "train/energy_j" in leet.stdout
    assert json.loads(leet.stdout)
    assert (tmp_path / "joulelab.db").exists() and list(tmp_path.glob("runs/*/csv-0/metrics.csv"))
    again = command("budget.steps=40", cwd=tmp_path)
    assert again.returncode == 0 and "known" in again.stdout


@pytest.mark.slow
def test_only_a_terminal_is_told_how_far_a_training_is(tmp_path: Path) -> None:
    line = ("logger=none", "budget.seconds=2", "budget.steps=null", "name=läuft jetzt", "root=mä folder")
    code, told = written([sys.executable, str(ROOT / "train.py"), *line], 80, tmp_path)
    assert code == 0, told
    steps = re.findall(
        r"\r\x1b\[2Kstep ([\d,]+) \((\d+) %\)   val/accuracy 0\.\d+   .* steps/s   \d+ s left", told
    )
    assert steps, told
    assert [int(share) for _, share in steps] == sorted(int(share) for _, share in steps)
    assert told.count("\r\x1b[2K") == told.count("\x1b") and "│ score" in told.rpartition("\r\x1b[2K")[2]
    plain = command(*line, "seed=1", cwd=tmp_path)
    assert plain.returncode == 0 and "\r" not in plain.stderr + plain.stdout and "left" not in plain.stderr
    (row, _) = Store(f"sqlite:///{tmp_path}/joulelab.db").trials()
    assert row.name == "läuft jetzt" and str(row.folder).startswith("mä folder/")


@pytest.mark.slow
def test_an_edited_network_of_a_users_is_another_trial(tmp_path: Path) -> None:
    (tmp_path / "user_parts.py").write_text("WIDTH = 3\n")
    (tmp_path / "user_net.py").write_text(
        "from torch import nn\n"
        "from user_parts import WIDTH\n"
        "def net(shape, classes, task, **other):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, WIDTH), nn.Linear(WIDTH, classes))\n"
    )
    line = ["model._target_=user_net.net", "budget.steps=5", "logger=none"]
    sizes = []
    for width in (3, 3, 14):
        (tmp_path / "user_parts.py").write_text(f"WIDTH = {width}\n")
        ran = command(*line, cwd=tmp_path, PYTHONPATH=str(tmp_path))
        assert ran.returncode == 0, ran.stderr
        store = Store(f"sqlite:///{tmp_path}/joulelab.db")
        rows = store.trials()
        sizes.append([store.results([row.id])[row.id].metrics["size/parameters"] for row in rows])
        store.close()
    # 65 x width into the hidden layer, (width + 1) x 10 out of it.
    assert sizes == [[235], [235], [235, 1060]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("optimizer=nonesuch",), "adamw"),
        (("optimizer.nonesuch=1",), "nonesuch"),
        (("llm_api_key=sk-aaaaaaaaaaaaaaaaaaaaaaaa",), "environment"),
        (("store.url=sqlite:////nonesuch/folder/lab.db",), "store.url"),
        (("data=pytext", "model=gpt", "data.path=nonesuch"), "data.path"),
        (("trainer=gpu",), "trainer=cpu"),
        (("ckpt_path=nonesuch.ckpt",), "nonesuch.ckpt"),
    ],
)
def test_bad_input_is_a_sentence_and_an_exit_code(
    tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    run = command(*arguments, cwd=tmp_path, CUDA_VISIBLE_DEVICES="")
    assert run.returncode != 0 and says in run.stderr
    assert "Traceback" not in run.stderr
