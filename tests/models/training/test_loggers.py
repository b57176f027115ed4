"""A Weights & Biases that does not answer costs seconds and a note, never the trial."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.training import loggers
from models.training.loggers import Run, reached
from refusal import Refusal


@pytest.fixture
def anew() -> Iterator[None]:
    """Weights & Biases reads its environment once a process, and leaves a service running."""
    import wandb

    wandb.teardown()
    yield
    wandb.teardown()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path, "abc123", "a run", None, (), {"seed": 0})


@pytest.fixture
def deaf() -> Iterator[str]:
    """The address of a server that takes a connection and never says a word."""
    server = socket.create_server(("127.0.0.1", 0), backlog=50)
    yield f"http://127.0.0.1:{server.getsockname()[1]}"
    server.close()


def test_nobody_at_an_address_is_told_at_once(deaf: str) -> None:
    assert reached(deaf) is None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert "127.0.0.1: " in str(reached(f"http://127.0.0.1:{port}"))
    assert "nobody.invalid: " in str(reached("https://nobody.invalid"))


def test_behind_a_proxy_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    assert reached("https://nobody.invalid") is None


@pytest.mark.slow
@pytest.mark.parametrize("there", ["deaf", "closed", "no such host"])
def test_a_key_without_a_network_goes_offline_with_a_note(
    anew: None, run: Run, deaf: str, there: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = {"deaf": deaf, "closed": "http://127.0.0.1:1", "no such host": "https://nobody.invalid"}[there]
    monkeypatch.setenv("WANDB_BASE_URL", url)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.delenv("WANDB_MODE")
    before = time.process_time()
    logger = loggers.wandb(run, "joulelab", None)
    assert logger.experiment.settings.mode == "offline" and time.process_time() - before < 10
    (note,) = run.notes
    assert note.startswith("Weights & Biases was not reached (") and note.endswith("was kept offline")
    assert "0" * 40 not in note
    assert loggers.finish([logger], {"test/accuracy": 0.9}, {}, 0) == []
    assert list(run.folder.glob("wandb/offline-run-*/run-abc123.wandb"))


@pytest.mark.slow
def test_a_setting_that_wandb_cannot_use_is_one_sentence(
    anew: None, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_CONSOLE", "junk")
    with pytest.raises(Refusal, match=r"Weights & Biases cannot be used \(console: .*WANDB_ variables"):
        loggers.wandb(run, "joulelab", None)


@pytest.mark.slow
def test_a_run_that_cannot_be_ended_there_is_a_note(tmp_path: Path) -> None:
    from lightning.pytorch.loggers import WandbLogger

    class Gone:
        """A run whose server is gone."""

        summary: dict[str, float] = {}

        def finish(self, exit_code: int) -> None:
            raise OSError("the network is down")

        def __getattr__(self, name: str) -> object:
            raise AttributeError(name)

    logger = WandbLogger.__new__(WandbLogger)
    logger._experiment = Gone()  # type: ignore[assignment]
    (note,) = loggers.finish([logger], {}, {}, 0)
    assert "the network is down" in note
