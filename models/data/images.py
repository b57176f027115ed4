"""Image classification through Hugging Face's `datasets`: a hub's repository, or a local folder.

A folder holds parquet files whose names start with train and test, or pictures as train/CLASS/*.png and
test/CLASS/*.png. The network is asked once, with a short timeout, and never when `path` is given.
"""

import io
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.data.dataset import Dataset, Split
from models.data.splits import hold_out, standardise
from refusal import Refusal

_TIMEOUT_S = 5
_MODES = {1: "L", 3: "RGB"}


def load(
    *,
    batch_size: int,
    shape: Sequence[int],
    classes: int,
    hub: str,
    task: str = "classification",
    packages: Sequence[str] = ("datasets",),
    drawn: str = "fixed",
    revision: str | int | None = None,
    path: str | None = None,
    image: str = "image",
    label: str = "label",
    cache: str | None = None,
    val_share: float = 0.1,
    augment: Sequence[str] = (),
    split_seed: int = 0,
) -> Dataset:
    """Inputs (N, C, H, W) float32, targets (N,): the published test set, and the folder's validation
    set, or one held out.

    `hub` is the repository that is read where `path` is null, at the commit, tag or branch `revision`;
    `image` and `label` are its columns, and a folder of pictures has its own. `cache` is where `datasets`
    keeps its tables, null its own place. `packages` and `drawn` are for who reads the config: the test set is
    the published one, whatever the `split_seed`. Raises `Refusal` when the extra is missing, when the data
    cannot be had, and when pictures, columns, shape or classes are not as said.
    """
    sizes = tuple(shape)
    if len(sizes) != 3 or sizes[0] not in _MODES:
        raise Refusal(f"data.shape {list(sizes)} must be [1, H, W] for grey or [3, H, W] for colour images.")
    library = _library()
    folder = (
        _fetched(hub, None if revision is None else str(revision))
        if path is None
        else Path(path).expanduser()
    )
    tables = _tables(library, folder, cache)
    parts = {name: _split(library, table, image, label, sizes) for name, table in tables.items()}
    own = parts.get("validation")
    learnt = (parts["train"], own) if own else hold_out(parts["train"], val_share, split_seed)
    (train, val, test), scale = standardise(*learnt, parts["test"])
    names = _names(tables["train"], label)
    about = scale | ({"names": names} if names else {})
    return Dataset(train, val, test, task, sizes, classes, batch_size, about, augment)


def _library() -> Any:
    try:
        import datasets
        import PIL.Image  # noqa: F401 - pictures are decoded with it below
    except ImportError as missing:
        raise Refusal(f"images need {missing.name}: pip install -e '.[data]'.") from missing
    datasets.disable_progress_bars()
    return datasets


def _fetched(hub: str, revision: str | None) -> Path:
    """The folder of a hub's repository, downloaded once: later trials read what was fetched before."""
    import huggingface_hub

    try:
        found = huggingface_hub.snapshot_download(
            hub,
            repo_type="dataset",
            revision=_here(hub, revision),
            allow_patterns="*.parquet",
            local_files_only=not _reachable(),
        )
    # The hub's errors are subclasses of these: nothing in its cache, or an answer other than the file.
    except (OSError, ValueError, huggingface_hub.errors.HfHubHTTPError) as error:
        raise Refusal(
            f"'{hub}' is neither here nor to be had from the network now: where there is one, run "
            f"'hf download {hub} --repo-type dataset --local-dir DIR', bring DIR here and set data.path=DIR."
        ) from error
    return Path(found)


def _here(hub: str, revision: str | None) -> str | None:
    """The commit that a branch or tag had when it was fetched, where it was; else the name itself."""
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE) / f"datasets--{hub.replace('/', '--')}"
    known = folder / "refs" / (revision or "main")
    return known.read_text().strip() if known.is_file() else revision


def _reachable() -> bool:
    # The hub's client retries for 24 s before it gives up; one question answers the same in milliseconds.
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0") or not endpoint.startswith("http"):
        return False
    try:
        with urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=_TIMEOUT_S):  # noqa: S310
            return True
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def _tables(library: Any, folder: Path, cache: str | None) -> Any:
    """The tables train and test of a folder, and validation where it has one."""
    starts = {"train": "train", "validation": "val", "test": "test"}
    found = {name: sorted(folder.rglob(f"{start}*.parquet")) for name, start in starts.items()}
    parquet = {name: [str(file) for file in files] for name, files in found.items() if files}
    if {"train", "test"} <= parquet.keys():
        homes = sorted({str(file.parent) for files in found.values() for file in files})
        if len(homes) > 1:
            raise Refusal(f"'{folder}' holds several data sets ({', '.join(homes)}): set data.path to one.")
        return library.load_dataset("parquet", data_files=parquet, cache_dir=cache)
    if all((folder / name).is_dir() for name in ("train", "test")):
        return library.load_dataset("imagefolder", data_dir=str(folder), cache_dir=cache)
    raise Refusal(
        f"'{folder}' holds neither train*.parquet and test*.parquet nor pictures in train/CLASS and "
        "test/CLASS: set data.path to a folder that does, or choose data=folder or data=idx."
    )


def _split(library: Any, table: Any, image: str, label: str, sizes: tuple[int, ...]) -> Split:
    columns = table.column_names
    image, label = (
        name if name in columns else usual for name, usual in ((image, "image"), (label, "label"))
    )
    if image not in columns or label not in columns:
        raise Refusal(
            f"the data has the columns {', '.join(columns)}: set data.image and data.label to two of them."
        )
    answers = table[label][:]
    if not all(isinstance(answer, int) for answer in answers):
        raise Refusal(f"the column {label} does not hold class numbers: set data.label to one that does.")
    pictures = table.cast_column(image, library.Image(decode=False))[image]
    return Split(_pixels(pictures, sizes), torch.tensor(answers, dtype=torch.int64))


def _names(table: Any, label: str) -> list[str] | None:
    """Of the classes, where the table has them."""
    kind = table.features.get(label) or table.features.get("label")
    names = getattr(kind, "names", None)
    return list(names) if names else None


def _pixels(pictures: Any, sizes: tuple[int, ...]) -> Tensor:
    """(N, C, H, W) uint8 of encoded pictures."""
    from PIL import Image

    pixels = np.empty((len(pictures), sizes[1], sizes[2], sizes[0]), dtype=np.uint8)
    for place, picture in enumerate(pictures):
        source = io.BytesIO(picture["bytes"]) if picture["bytes"] else picture["path"]
        with Image.open(source) as opened:
            if (opened.height, opened.width) != sizes[1:]:
                raise Refusal(
                    f"a picture is {opened.height} x {opened.width} and data.shape says {list(sizes)}: set "
                    f"data.shape=[{sizes[0]},{opened.height},{opened.width}], or bring them to one size."
                )
            pixels[place] = np.asarray(opened.convert(_MODES[sizes[0]])).reshape(pixels.shape[1:])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
