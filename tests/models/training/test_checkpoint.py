import hashlib
import json
import os
import resource
import signal

import pytest
import torch
from forked import raised
from torch import multiprocessing

from made_up_clock import Slow
from models.training.callbacks.checkpoint import KEPT, Checkpoint
from models.training.checkpoint import MANIFEST, OURS, Checkpoints, newest, prepare, read_manifest, sound
from models.training.fit import fit
from refusal import Refusal
from trainings import parts


def state(step, size=1000):
    return {OURS: {}, "global_step": step, "state_dict": {"w": torch.full((size,), float(step))}}


def save(folder, step, size=1000):
    Checkpoints().save_checkpoint(state(step, size), folder / f"step_{step}.ckpt")


def test_what_is_saved_is_listed_with_its_digest_and_loaded(tmp_path):
    save(tmp_path, 3)
    save(tmp_path, 20)
    listed = json.loads((tmp_path / MANIFEST).read_text())["checkpoints"]
    for name, entry in listed.items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == entry["sha256"]
    assert newest(tmp_path) == (tmp_path / "step_20.ckpt", [])
    loaded = Checkpoints().load_checkpoint(tmp_path / "step_20.ckpt")
    assert loaded["state_dict"]["w"].tolist() == [20.0] * 1000
    assert sorted(path.name for path in tmp_path.iterdir()) == [MANIFEST, "step_20.ckpt", "step_3.ckpt"]


def test_a_removed_checkpoint_is_neither_listed_nor_there(tmp_path):
    save(tmp_path, 3)
    save(tmp_path, 4)
    Checkpoints().remove_checkpoint(tmp_path / "step_4.ckpt")
    assert newest(tmp_path) == (tmp_path / "step_3.ckpt", [])
    assert not (tmp_path / "step_4.ckpt").exists()


@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_damage_is_seen_and_the_one_before_is_named(tmp_path, damage):
    save(tmp_path, 3)
    save(tmp_path, 4)
    path = tmp_path / "step_4.ckpt"
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1] if damage == "flip" else []))
    assert not sound(path)
    assert newest(tmp_path) == (tmp_path / "step_3.ckpt", [path])
    (tmp_path / "step_3.ckpt").write_bytes(b"")
    with pytest.raises(Refusal, match=r"all checkpoints in .* are damaged"):
        newest(tmp_path)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"checkpoints": 3}'])
def test_a_manifest_that_cannot_be_read_is_refused(tmp_path, text):
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(Refusal, match="cannot be read"):
        read_manifest(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["both", "manifest"])
def test_a_trial_whose_checkpoints_are_all_damaged_starts_anew_and_says_so(train, tmp_path, damage):
    def weights(fitted):
        return torch.cat([part.flatten() for part in fitted.net.parameters()])

    own = {"callbacks": {"checkpoint": Checkpoint(None, every_steps=15)}}
    whole = train(folder=tmp_path / "other", **own)
    train(**own)
    place = tmp_path / "trial" / "checkpoints"
    spoilt = [place / MANIFEST] if damage == "manifest" else list(place.glob("step_*.ckpt"))
    for path in spoilt:
        path.write_bytes(path.read_bytes()[:-7])
    again = train(**own)
    (note,) = [one for one in again.facts["notes"] if "started anew" in one]
    assert "checkpoints-damaged" in note and (tmp_path / "trial" / "checkpoints-damaged").is_dir()
    assert torch.equal(weights(again), weights(whole)) and again.facts["sessions"] == 1
    assert newest(place)[0].name == "step_40.ckpt"
    assert "notes" not in train(**own).facts


def test_left_overs_of_a_kill_are_cleared_and_nothing_else(tmp_path):
    save(tmp_path, 3)
    for name in (".step_9.ckpt.77.tmp", "step_9.ckpt", "notes.txt"):
        (tmp_path / name).write_bytes(b"half")
    prepare(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [MANIFEST, "notes.txt", "step_3.ckpt"]


def test_a_full_disk_is_a_sentence_and_leaves_the_checkpoint_before(tmp_path):
    save(tmp_path, 3)

    def full():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        save(tmp_path, 4, size=100_000)

    kind, text, _ = raised(full)
    assert kind == "Refusal"
    assert "step_4.ckpt could not be written (File too large)" in text and "free space" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == [MANIFEST, "step_3.ckpt"]
    assert newest(tmp_path) == (tmp_path / "step_3.ckpt", [])


def test_a_folder_without_permission_is_a_sentence(tmp_path):
    folder = tmp_path / "trial"
    folder.mkdir(mode=0o555)
    # pytest's folders are closed to others, and the user who may not write here is another one.
    for path in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        path.chmod(0o755)

    def nobody():
        if os.getuid() == 0:
            os.setuid(65534)
        prepare(folder / "checkpoints")

    kind, text, _ = raised(nobody)
    assert kind == "Refusal" and "Permission denied" in text and "root=" in text
    assert not list(folder.iterdir())


def test_a_folder_that_takes_no_file_ends_the_trial_before_it_trains(tmp_path, one_thread):
    (tmp_path / "trial").write_text("a file")
    trained = []
    with pytest.raises(Refusal, match="could not be written"):
        fit(**parts(tmp_path, scheduler=lambda progress: trained.append(progress) or 1.0))
    assert not trained


def test_a_save_that_fails_in_the_middle_of_a_training_ends_it(tmp_path, one_thread):
    def shrinking(progress):
        if progress > 0.5:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
        return 1.0

    callbacks = {"checkpoint": Checkpoint(None, every_steps=10)}
    kind, text, _ = raised(lambda: fit(**parts(tmp_path, scheduler=shrinking, callbacks=callbacks)))
    assert kind == "Refusal" and "step_30.ckpt could not be written" in text
    found, damaged = newest(tmp_path / "trial" / "checkpoints")
    assert found is not None and found.name == "step_20.ckpt" and not damaged


def test_checkpoints_come_by_steps_and_the_newest_two_are_kept(train, tmp_path):
    saved = []

    class Spy(Checkpoint):
        def _save(self, trainer, pl_module):
            saved.append(trainer.global_step)
            super()._save(trainer, pl_module)

    train(callbacks={"checkpoint": Spy(None, every_steps=15)})
    assert saved == [15, 30, 40]
    assert list(read_manifest(tmp_path / "trial" / "checkpoints")) == ["step_30.ckpt", "step_40.ckpt"]
    assert KEPT == 2


@pytest.mark.slow
def test_checkpoints_come_by_seconds(train, clock, tmp_path):
    # Twenty steps of 0.03 s; the newest two are kept.
    own = {"net": Slow(clock), "callbacks": {"checkpoint": Checkpoint(every_seconds=0.2)}}
    train(steps=None, seconds=0.59, **own)
    first, last = read_manifest(tmp_path / "trial" / "checkpoints")
    assert first != last == "step_20.ckpt"
    own = {"net": Slow(clock), "callbacks": {"checkpoint": Checkpoint(every_seconds=60)}}
    train(folder=tmp_path / "short", **own)
    assert list(read_manifest(tmp_path / "short" / "checkpoints")) == ["step_40.ckpt"]


def test_without_the_callback_nothing_is_written(train, tmp_path):
    train(callbacks={})
    assert not (tmp_path / "trial").exists()


@pytest.mark.parametrize("periods", [{"every_seconds": 0}, {"every_steps": -1}])
def test_periods_are_positive(periods):
    with pytest.raises(Refusal, match="larger than zero"):
        Checkpoint(**periods)


def _save_for_ever(folder):
    torch.set_num_threads(1)  # those that torch may have had are not there after a fork
    step = 0
    while True:
        step += 1
        save(folder, step, size=200_000)
        for name in list(read_manifest(folder))[:-2]:
            Checkpoints().remove_checkpoint(folder / name)


@pytest.mark.slow
def test_of_many_kills_during_saves_none_leaves_a_damaged_checkpoint(tmp_path):
    before = 0
    for attempt in range(60):
        process = multiprocessing.get_context("fork").Process(target=_save_for_ever, args=(tmp_path,))
        process.start()
        process.join(0.03 + 0.003 * (attempt % 20))
        process.kill()
        process.join()
        found, damaged = newest(tmp_path)
        assert not damaged
        if found is not None:
            Checkpoints().load_checkpoint(found)
            before += 1
        prepare(tmp_path)
    assert before > 30
