"""A training goes on from a checkpoint of its own, or from one that somebody names, and says so."""

import shutil
import signal
from functools import partial
from pathlib import Path

import pytest
import torch
from forked import in_a_process
from test_resume import Killed, assert_equal, seeded

import train
from models.training.budget import Budget
from models.training.callbacks.checkpoint import Checkpoint
from models.training.callbacks.divergence import Divergence
from models.training.checkpoint import Checkpoints
from refusal import Refusal
from trainings import parts


def resumed_from(fitted):
    return {name: fitted.facts["resumed"][name] for name in ("step", "signature")}


def test_a_copied_checkpoint_of_another_trial_is_refused_and_may_be_named(one_thread, tmp_path):
    seeded(tmp_path, "other", budget=parts(tmp_path, 20)["budget"], signature="aaaa")
    shutil.copytree(tmp_path / "other", tmp_path / "trial")
    with pytest.raises(
        Refusal, match=r"of another trial \(aaaa\).*\(bbbb\).*name the checkpoint in ckpt_path"
    ):
        seeded(tmp_path, "trial", signature="bbbb")
    named = seeded(tmp_path, "third", signature="bbbb", ckpt_path=tmp_path / "trial")
    assert resumed_from(named) == {"step": 20, "signature": "aaaa"}
    assert named.facts["notes"] == [
        "the training began at step 20 of trial aaaa, by ckpt_path: its figures are not those of this "
        "configuration trained from the start"
    ]


def test_a_checkpoint_that_names_no_trial_is_not_gone_on_from_unasked(one_thread, tmp_path):
    seeded(tmp_path, "trial", budget=parts(tmp_path, 20)["budget"])
    path = tmp_path / "trial" / "checkpoints" / "step_20.ckpt"
    old = torch.load(path, weights_only=True)
    # As versions before wrote it.
    del old["joulelab"]["identity"]["signature"], old["joulelab"]["origin"]
    Checkpoints().save_checkpoint(old, path)
    with pytest.raises(Refusal, match=r"does not say which trial it is of.*start anew"):
        seeded(tmp_path, "trial", signature="bbbb")
    named = seeded(tmp_path, "other", signature="bbbb", ckpt_path=path)
    assert resumed_from(named) == {"step": 20, "signature": None} and named.steps == 37
    assert "of a checkpoint that names no trial" in named.facts["notes"][0]


@pytest.mark.parametrize(
    ("budget", "sentence"),
    [
        ({"steps": 37}, "stands at step 37 and the budget ends at step 37"),
        ({"steps": 20}, "stands at step 37 and the budget ends at step 20"),
        # 200 examples in batches of 32 are 6.25 steps an epoch.
        ({"epochs": 5}, "stands at step 37 and the budget ends at step 31"),
        ({"steps": 100, "epochs": 2}, "stands at step 37 and the budget ends at step 12"),
        ({"seconds": 1e-6}, "at step 37, has already used the seconds or joules"),
        ({"joules": 1e-6}, "at step 37, has already used the seconds or joules"),
    ],
)
def test_a_named_checkpoint_at_or_beyond_the_budget_is_refused(one_thread, tmp_path, budget, sentence):
    seeded(tmp_path, "long")
    with pytest.raises(Refusal, match=sentence):
        seeded(tmp_path, "short", budget=Budget(**budget), ckpt_path=tmp_path / "long")
    assert not list((tmp_path / "short").glob("checkpoints/*.ckpt"))


def test_a_trial_that_was_killed_after_its_last_step_is_loaded_when_it_is_typed_again(one_thread, tmp_path):
    first = seeded(tmp_path, "trial", signature="aaaa")
    again = seeded(tmp_path, "trial", signature="aaaa")
    assert again.steps == first.steps == 37 and again.curve == first.curve and "notes" not in again.facts
    assert resumed_from(again) == {"step": 37, "signature": "aaaa"}
    assert_equal(dict(again.net.state_dict()), dict(first.net.state_dict()))


@pytest.mark.slow
def test_a_killed_trial_that_began_at_a_checkpoint_goes_on_from_its_own(one_thread, tmp_path):
    seeded(tmp_path, "start", budget=parts(tmp_path, 10)["budget"], signature="aaaa")
    own = {"signature": "bbbb", "ckpt_path": tmp_path / "start"}
    whole = seeded(tmp_path, "whole", **own)
    callbacks = {
        "killed": Killed(28),
        "checkpoint": Checkpoint(None, every_steps=5),
        "divergence": Divergence(window=3),
    }
    assert in_a_process(partial(seeded, tmp_path, "trial", callbacks=callbacks, **own)) == -signal.SIGKILL
    resumed = seeded(tmp_path, "trial", **own)
    assert resumed.facts["sessions"] == whole.facts["sessions"] + 1 == 3
    # What the row rests on is the checkpoint that was named, however often it was killed since.
    assert (
        resumed.facts["resumed"] == whole.facts["resumed"] and resumed.facts["notes"] == whole.facts["notes"]
    )
    assert_equal(dict(resumed.net.state_dict()), dict(whole.net.state_dict()))
    loaded = seeded(tmp_path, "trial", **own)
    assert loaded.steps == 37 and loaded.facts["resumed"] == whole.facts["resumed"]


@pytest.mark.slow
def test_a_short_trial_is_not_answered_by_a_longer_ones_checkpoint(resolve, tmp_path):
    def trial(*overrides):
        return train.trial(resolve("model.width=8", *overrides), overrides=list(overrides))

    long = trial("budget.steps=40")
    with pytest.raises(Refusal, match="stands at step 40 and the budget ends at step 20"):
        trial("budget.steps=20", f"ckpt_path={long['folder']}")
    short = trial("budget.steps=20")
    assert short["status"] == "done" and "resumed" not in short["facts"]
    longer = trial("budget.steps=60", f"ckpt_path={long['folder']}")
    plain = trial("budget.steps=60")
    assert longer["status"] == plain["status"] == "done" and longer["trial_id"] != plain["trial_id"]
    assert longer["facts"]["resumed"]["step"] == 40 and any(
        "ckpt_path" in n for n in longer["facts"]["notes"]
    )
    assert trial("budget.steps=60", f"ckpt_path={long['folder']}")["status"] == "known"
    # Somebody fills a trial's folder with another trial's checkpoints; with a new database it runs again.
    shutil.rmtree(short["folder"])
    shutil.copytree(plain["folder"], short["folder"])
    with pytest.raises(Refusal, match="is of another trial"):
        trial("budget.steps=20", f"store.url=sqlite:///{tmp_path}/new.db")


@pytest.mark.slow
def test_checkpoints_of_a_trial_and_of_its_fine_tuning_say_what_they_are_of(resolve):
    config = resolve(
        "model.width=8", "budget.steps=4", "compress=[prune50]", "compress.prune50.finetune_steps=2"
    )
    folder = Path(train.trial(config, overrides=[])["folder"])
    said = {}
    for place in (folder, folder / "finetune_1"):
        (path,) = (place / "checkpoints").glob("*.ckpt")
        said[place] = torch.load(path, weights_only=True)["joulelab"]["identity"]["signature"]
    # A trial's folder is named by what it depends on.
    assert said == {folder: folder.name, folder / "finetune_1": f"{folder.name} finetune_1"}
