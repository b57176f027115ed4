"""What all tests share: resolved configurations, and a Weights & Biases that never leaves the machine."""

import gc
import os
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent.parent
os.environ["WANDB_MODE"] = "offline"
# Networks of tests are tiny: more threads only wait for each other, most of all on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["WANDB_SILENT"] = "true"
# A machine that runs other things too makes any single example slow. Here, because `given` reads the profile.
settings.register_profile("lab", deadline=None, max_examples=60)
settings.load_profile("lab")


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: no collection of garbage need look through it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def training() -> Any:
    """The composer of the training's configuration: Hydra itself would take 0.2 s for each."""
    from research.gate.compose import Composer

    return Composer(ROOT / "conf", "train")


@pytest.fixture
def resolve(training: Any, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Compose the training configuration with overrides; files and database lie in the test's folder."""
    own = [f"store.url=sqlite:///{tmp_path}/lab.db", f"root={tmp_path}/runs", "logger=none"]
    return lambda *overrides: deepcopy(training.resolve([*own, *overrides]).config)
