"""A tiny data set for each source of `reading/sources`, made where a test says."""

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

SIZE = 8
"""side of a picture"""
CLASSES = ("cat", "dog", "owl")
EACH = 20
"""examples of a class"""


def folder(place: Path) -> list[str]:
    """Pictures in a folder for each class."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for number, name in enumerate(CLASSES):
        (place / name).mkdir(parents=True)
        for each in range(EACH):
            pixels = rng.integers(0, 80, (SIZE, SIZE, 3), dtype=np.uint8)
            pixels[..., number] += 120
            Image.fromarray(pixels).save(place / name / f"{each:02}.png")
    return [f"data.path={place}"]


def idx(place: Path) -> list[str]:
    """Pairs of images and labels as MNIST has them, one part packed."""
    rng = np.random.default_rng(0)
    place.mkdir(parents=True)
    for part, count in (("train", 3 * EACH), ("t10k", 2 * len(CLASSES))):
        labels = np.arange(count, dtype=np.uint8) % len(CLASSES)
        images = rng.integers(0, 80, (count, SIZE, SIZE), dtype=np.uint8) + labels[:, None, None] * 60
        for name, values in ((f"{part}-images-idx3", images), (f"{part}-labels-idx1", labels)):
            head = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
            content = head + values.tobytes()
            packed = gzip.compress(content) if part == "train" else content
            (place / f"{name}-ubyte{'.gz' if part == 'train' else ''}").write_bytes(packed)
    return [f"data.path={place}"]


def arrays(place: Path) -> list[str]:
    """One .npz of examples with classes."""
    rng = np.random.default_rng(0)
    place.mkdir(parents=True)
    y = np.arange(3 * EACH) % len(CLASSES)
    np.savez(place / "own.npz", x=rng.normal(size=(len(y), SIZE)) + 3 * y[:, None], y=y)
    return [f"data.path={place}/own.npz"]


def table(place: Path) -> list[str]:
    """A CSV of numbers, words and gaps with a class."""
    rng = np.random.default_rng(0)
    place.mkdir(parents=True)
    lines = ["size,colour,kind"]
    for number in range(3 * EACH):
        name = CLASSES[number % 3]
        size = "" if number % 7 == 0 else f"{rng.normal() + 3 * (number % 3):.4f}"
        lines.append(f"{size},{('red', 'blue', '')[number % 3]},{name}")
    (place / "own.csv").write_text("\n".join(lines))
    return [f"data.path={place}/own.csv", "data.target=kind"]


def text(place: Path) -> list[str]:
    """JSON lines of short texts, a class each."""
    rng = np.random.default_rng(0)
    place.mkdir(parents=True)
    words = {
        "cat": ("purr", "milk", "nap"),
        "dog": ("bark", "bone", "fetch"),
        "owl": ("hoot", "mouse", "night"),
    }
    rows = []
    for number in range(3 * EACH):
        name = CLASSES[number % 3]
        said = [*rng.choice(words[name], 4), f"nr{number}"]
        rows.append(json.dumps({"review": " ".join(said), "label": name}))
    (place / "own.jsonl").write_text("\n".join(rows))
    return [f"data.path={place}/own.jsonl", "data.tokens=300", "model=bag"]


def tokenizer(folder: Path, pad: str = "[PAD]", first: Sequence[str] = ()) -> list[str]:
    """Leave a tokenizer of whole words in a folder, as that of a network; returns its tokens in order."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ("[UNK]", "[CLS]", "[SEP]", "the", "cat", "dog", "naps", "barks", "again", ",", "a")
    names = list(dict.fromkeys([*first, pad, *words]))
    made = Tokenizer(models.WordLevel({name: place for place, name in enumerate(names)}, "[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    around = [(name, names.index(name)) for name in ("[CLS]", "[SEP]")]
    made.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=around)
    made.add_special_tokens([pad, "[CLS]", "[SEP]"])
    folder.mkdir()
    made.save(str(folder / "tokenizer.json"))
    return names


def corpus(place: Path) -> list[str]:
    """A folder of texts, some in folders of their own."""
    for number in range(40):
        (place / f"deep{number % 3}").mkdir(parents=True, exist_ok=True)
        text = f"chapter {number}: the cat naps and the owl hoots. " * 20
        (place / f"deep{number % 3}" / f"{number}.txt").write_text(text)
    return [f"data.path={place}", "data.length=32", "data.val_share=0.1", "data.test_share=0.1", "model=gpt"]


def hf(place: Path) -> list[str]:
    """Parquet with a column of pictures and one of classes, as the hub has it."""
    import io

    import pyarrow
    from PIL import Image
    from pyarrow import parquet

    rng = np.random.default_rng(0)
    place.mkdir(parents=True)
    rows = []
    for number in range(3 * EACH):
        pixels, file = rng.integers(0, 80, (SIZE, SIZE, 3), dtype=np.uint8), io.BytesIO()
        pixels[..., number % 3] += 120
        Image.fromarray(pixels).save(file, "PNG")
        image = {"bytes": file.getvalue(), "path": f"{number}.png"}
        rows.append({"image": image, "label": number % 3})
    kinds = {"image": {"_type": "Image"}, "label": {"names": list(CLASSES), "_type": "ClassLabel"}}
    told = {"huggingface": json.dumps({"info": {"features": kinds}})}
    table = pyarrow.Table.from_pylist(rows).replace_schema_metadata(told)
    parquet.write_table(table, place / "train-00000-of-00001.parquet")
    return [f"data.path={place}"]


def several(place: Path) -> list[str]:
    """Texts with several classes each, in one column."""
    rng = np.random.default_rng(0)
    place.mkdir(parents=True)
    words = {"war": "gun tank front", "love": "kiss heart ring", "space": "star rocket moon"}
    rows = ["plot,genres"]
    for number in range(8 * EACH):
        own = [name for name in words if rng.random() < 0.4]
        said = [rng.choice(words[name].split()) for name in own for _ in range(3)]
        rows.append(f"{' '.join([*said, 'the end', str(number)])},{'|'.join(own)}")
    (place / "own.csv").write_text("\n".join(rows))
    where = [f"data.path={place}/own.csv", "data.text=plot", "data.target=genres", "data.separator=|"]
    own = [*where, f"data.cache={place}/cache", "data.tokens=300", "data.length=16", "data.batch_size=16"]
    return ["data=text", *own, "model=bag", "optimizer.lr=0.05", "loss=binary_cross_entropy"]


def values(place: Path) -> list[str]:
    """A table whose answers are values."""
    rng = np.random.default_rng(0)
    place.mkdir(parents=True)
    x = rng.normal(size=(8 * EACH, 2))
    y = 1000 + 50 * x[:, 0] - 20 * x[:, 1] + rng.normal(size=len(x))
    rows = [f"{a:.5f},{b:.5f},{answer:.5f}" for (a, b), answer in zip(x, y, strict=True)]
    (place / "own.csv").write_text("\n".join(["a,b,price", *rows]))
    where = [f"data.path={place}/own.csv", "data.target=price", f"data.cache={place}/cache"]
    return ["data=table", *where, "loss=squared_error", "score=val/rmse", "data.batch_size=16"]


MADE: dict[str, Callable[[Path], list[str]]] = {
    "folder": folder,
    "idx": idx,
    "arrays": arrays,
    "table": table,
    "text": text,
    "corpus": corpus,
    "hf": hf,
}
"""option of conf/data -> what makes its files, and the overrides that it needs"""


def line(source: str, place: Path) -> list[str]:
    """Overrides that choose a source's data, made under `place`, with a cache of its own beside."""
    return [
        f"data={source}",
        *MADE[source](place / source),
        f"data.cache={place}/cache",
        "data.batch_size=16",
    ]
