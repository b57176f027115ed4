"""What no trial could start with is one sentence before anything is trained."""

from pathlib import Path

import pytest

from cases import each
from refusal import Refusal
from research.run.checks import check, check_numbers, check_wandb
from research.space import knobs
from research.space.gate import Space

CONF = Path(__file__).parents[3] / "conf"
SPACE = Space(CONF, CONF / "space.yaml")
WANDB = {"logger": {"wandb": {"_target_": "models.training.loggers.wandb"}}}


@pytest.mark.parametrize("seed", [1e20, 10**20, 1.5, None, "x", True, -(10**20)])
def test_a_seed_is_a_whole_number(seed: object) -> None:
    with pytest.raises(Refusal, match=r"^seed=.* is no whole number from .*: write seed=1\.$"):
        check_numbers({"seed": seed})


@pytest.mark.parametrize("name", ["threads", "jobs"])
@pytest.mark.parametrize("value", [0, -1, 1e20, 10**11, 2.5, "two"])
def test_threads_and_jobs_are_counts(name: str, value: object) -> None:
    with pytest.raises(Refusal, match=f"launcher.{name}=.* is no whole number from 1 to"):
        check_numbers({"seed": 0, "launcher": {name: value}})


@pytest.mark.parametrize("target", [["a"], "", "nope", None, 3, "rows.evil"])
def test_a_plan_refuses_what_can_name_nothing_or_is_on_no_list(target: object) -> None:
    config = SPACE.resolve([])
    with pytest.raises(Refusal, match=r"names nothing: write module\.name|'rows\.evil' is not called"):
        check(config | {"optimizer": {**config["optimizer"], "_target_": target}})


def test_usual_numbers_pass() -> None:
    check_numbers({"seed": -1, "launcher": {"threads": None, "jobs": 3, "timeout_s": None}})
    check_numbers({"seed": 2**40})


@pytest.mark.parametrize("mode", ["off", "Online", "none", "0", "true"])
def test_a_bad_mode_of_wandb_is_told_with_the_good_ones(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", mode)
    with pytest.raises(Refusal, match=f"WANDB_MODE={mode} is no mode .* online, offline or disabled"):
        check_wandb(WANDB)
    check_wandb({"logger": {"csv": {}}})
    check_wandb({"logger": None})


@pytest.mark.parametrize("url", ["junk", "api.wandb.ai", "http://", "ftp://x"])
def test_a_bad_address_of_wandb_is_told(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", url)
    with pytest.raises(Refusal, match="WANDB_BASE_URL is no address"):
        check_wandb(WANDB)


@pytest.mark.parametrize("mode", ["online", "offline", "disabled", "dryrun", ""])
def test_what_wandb_takes_passes(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", mode)
    monkeypatch.setenv("WANDB_BASE_URL", "https://api.wandb.ai")
    check_wandb(WANDB)


@each(
    ("key", "value", "kind"),
    [
        ("model.width", "abc", "whole number"), ("optimizer.lr", "abc", "number"),
        ("data.batch_size", "x", "whole number"), ("data.batch_size", "1.5", "whole number"),
        ("model.width", "true", "whole number"), ("loss.label_smoothing", "x", "number"),
        ("budget.steps", "0.5", "whole number"), ("optimizer.weight_decay", "true", "number"),
    ],
)  # fmt: skip
def test_a_number_that_is_none_is_refused_before_anything_is_written(key: str, value: str, kind: str) -> None:
    with pytest.raises(Refusal, match=f"(?i)^{key}={value} is no {kind}: "):
        check(SPACE.resolve([f"{key}={value}"]))


def test_what_fits_is_taken_and_what_is_somebodys_own_is_left_to_them() -> None:
    for text in ("budget.steps=2e1", "optimizer.lr=1", "model.dropout=0", "model.width=64"):
        check(SPACE.resolve([text]))
    own = SPACE.resolve(["model.width=64"])
    knobs.own().refuse_misfits(own | {"model": {"_target_": "somebody.Net", "width": "wide"}})


@each("key", ["force", "dry_run"])
def test_neither_yes_nor_no_is_refused(key: str) -> None:
    with pytest.raises(Refusal, match=f"{key}=no is neither yes nor no: write {key}=true or {key}=false"):
        check_numbers(SPACE.resolve([]) | {key: "no"})


@each(
    ("text", "written"),
    [("data.batch_size=64.0", "data.batch_size=64"), ("model.width=1e2", "model.width=100")],
)
def test_a_whole_number_with_a_point_is_none_to_what_counts_by_it(text: str, written: str) -> None:
    with pytest.raises(Refusal, match=f"write {written}\\.$"):
        check(SPACE.resolve([text]))
