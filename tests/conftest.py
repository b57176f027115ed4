"""What all tests share: resolved configurations, and a Weights & Biases that never leaves the machine."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
os.environ["WANDB_MODE"] = "offline"
# Networks of tests are tiny: more threads only wait for each other, most of all on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["WANDB_SILENT"] = "true"


@pytest.fixture
def resolve(tmp_path: Path) -> Iterator[Callable[..., dict[str, Any]]]:
    """Compose the training configuration with overrides; files and database lie in the test's folder."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    own = [f"store.url=sqlite:///{tmp_path}/lab.db", f"root={tmp_path}/runs", "logger=none"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        yield lambda *overrides: OmegaConf.to_container(
            compose("train", [*own, *overrides]), resolve=True, throw_on_missing=True
        )
