"""Loads an export and asks it, run by itself in a process that has no lab; imports nothing of it either.

`python -I fresh.py FOLDER INPUTS OUTPUTS`: arrays of numpy in and out, figures as JSON on the last line.
"""

import json
import runpy
import sys
import time
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any, final

import numpy as np

LAB = (
    "agent",
    "construct",
    "joulelab",
    "models",
    "power",
    "pulse",
    "reading",
    "redact",
    "refusal",
    "research",
    "train",
)
"""what no export may need"""
BATCH = 64
_FEWEST, _SECONDS = 5, 0.3


@final
class _NoLab(MetaPathFinder):
    """Refuses the lab's modules, wherever an installation may have left a way to them."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.partition(".")[0] in LAB:
            raise ModuleNotFoundError(f"{name} is the lab's, and an export has to do without")


def main(folder: str, inputs: str, outputs: str) -> dict[str, Any]:
    """Ask for all of `inputs`, by batches of several sizes; write the answers, tell how long calls take."""
    sys.meta_path.insert(0, _NoLab())
    sys.dont_write_bytecode = True
    began = time.perf_counter()
    predict = runpy.run_path(str(Path(folder) / "load.py"))["predict"]
    loaded = time.perf_counter() - began
    asked = np.load(inputs, mmap_mode="r", allow_pickle=False)
    answers, start = [], 0
    while start < len(asked):
        # A single example, then many: a graph that was made for one size alone shows itself here.
        stop = start + (1 if start == 0 else 4 * BATCH)
        answers.append(np.asarray(predict(np.array(asked[start:stop]))))
        start = stop
    np.save(outputs, np.concatenate(answers), allow_pickle=False)
    figures: dict[str, Any] = {"load_s": loaded, "lab": sorted(set(sys.modules) & set(LAB))}
    for name, size in (("", 1), ("_batch", BATCH)):
        spent = _calls(predict, np.array(asked[:size]))
        figures |= {f"p50{name}": spent[len(spent) // 2], f"p95{name}": spent[int(len(spent) * 0.95)]}
    return figures | {"batch": min(BATCH, len(asked))}


def _calls(predict: Any, inputs: Any) -> list[float]:
    """Seconds of each call, sorted."""
    for _ in range(3):
        predict(inputs)
    taken: list[float] = []
    end = time.perf_counter() + _SECONDS
    while len(taken) < _FEWEST or time.perf_counter() < end:
        began = time.perf_counter()
        predict(inputs)
        taken.append(time.perf_counter() - began)
    return sorted(taken)


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
