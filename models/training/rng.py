"""The state of every random generator that a training may draw from, in types that `weights_only` loads."""

import random
from typing import Any

import numpy as np
import torch


def state() -> dict[str, Any]:
    """States of python, numpy, torch and each CUDA device."""
    drawn = np.random.get_state(legacy=False)
    words = torch.from_numpy(drawn["state"]["key"].astype(np.int64))
    return {
        "python": random.getstate(),
        "numpy": [drawn["bit_generator"], words, drawn["state"]["pos"], drawn["has_gauss"], drawn["gauss"]],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
    }


def restore(saved: dict[str, Any]) -> None:
    """Put every generator back; CUDA states of devices that are not here are left out."""
    version, keys, gauss = saved["python"]
    random.setstate((version, tuple(keys), gauss))
    name, words, *rest = saved["numpy"]
    np.random.set_state((name, words.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(saved["torch"].cpu())
    for index, device_state in enumerate(saved["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(device_state.cpu(), index)
