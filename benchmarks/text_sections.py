"""Sections of Debian's packages from their descriptions: our bag of tokens beside TF-IDF and a linear model.

    python benchmarks/text_sections.py [--rows 0] [--seeds 3] [--steps 1200]

The texts are apt's own index on this machine (`apt-cache dumpavail`; some 63,000 packages in 57 sections);
none are kept here. A tenth each is for validation and test, equal descriptions together. Ours is `data=text
model=bag` with the options below; the peer is scikit-learn's TfidfVectorizer and LogisticRegression with
their defaults (and iterations enough to converge), on the same texts as they are. CPU seconds are of all that
comes after the texts lie in a table: tokens or counts, training, and the test's answers; one thread, each in
a process of its own whose imports are left out; turns alternate.

To reach: macro F1 on the test within 2 points of the peer's, at no more CPU seconds.
"""

import argparse
import hashlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

_DESCRIBED = re.compile(r"^Description(?:-en)?: ((?:.|\n )*)", re.MULTILINE)
_SECTION = re.compile(r"^Section: (\S+)", re.MULTILINE)
PARTS = ("train", "val", "test")
TOKENS, LENGTH, WIDTH, BATCH, RATE = 16384, 48, 128, 256, 0.01


def packages() -> Iterator[tuple[str, str]]:
    """(description, section) of what apt knows of; sections without their area, as contrib/games."""
    told = subprocess.run(["apt-cache", "dumpavail"], check=True, capture_output=True, text=True).stdout
    for entry in told.split("\n\n"):
        section, described = _SECTION.search(entry), _DESCRIBED.search(entry)
        if section and described:
            yield described[1].strip(), section[1].rpartition("/")[2]


def write(folder: Path, most: int = 0) -> int:
    """Tables train, val and test in `folder`, of the first `most` packages; returns how many rows."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [(text, section) for text, section in packages() if text][: most or None]
    parts = [part_of(text) for text, _ in rows]
    learnt = {section for (_, section), part in zip(rows, parts, strict=True) if part == "train"}
    for name in PARTS:
        lines = [
            json.dumps({"text": text, "label": section})
            for (text, section), part in zip(rows, parts, strict=True)
            if part == name and section in learnt
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    return len(rows)


def part_of(text: str) -> str:
    """A tenth each to validation and test, by a hash, so that equal texts go together."""
    return {0: "test", 1: "val"}.get(hashlib.sha256(text.encode()).digest()[0] % 10, "train")


def ours(folder: Path, seed: int, steps: int) -> tuple[float, float]:
    """(macro F1, CPU seconds)."""
    import torch

    from models.startup import lean  # noqa: F401 - it makes Lightning load less
    from models.data import own
    from models.energy.meter import Meter
    from models.nets.bag import Bag
    from models.optim.schedules import cosine
    from models.training.budget import Budget
    from models.training.evaluate import evaluate
    from models.training.fit import fit
    from models.training.objective import CrossEntropy
    from models.training.settings import Settings

    torch.set_num_threads(1)
    began = time.process_time()
    with tempfile.TemporaryDirectory() as place:
        how = {"tokens": TOKENS, "length": LENGTH, "lowercase": True}
        data = own.load(source="text", path=str(folder), cache=place, batch_size=BATCH, **how)
        torch.manual_seed(seed)
        net = Bag(
            data.shape, data.classes, vocabulary=int(data.train.inputs.max()) + 1, width=WIDTH, dropout=0.3
        )
        fitted = fit(
            net=net,
            data=data,
            loss=CrossEntropy(),
            optimizer=partial(torch.optim.AdamW, lr=RATE, weight_decay=0.01, fused=True),
            scheduler=cosine,
            settings=Settings(accelerator="cpu"),
            budget=Budget(steps=steps),
            callbacks={},
            meter=Meter(),
            seed=seed,
            folder=Path(place) / "run",
            loggers=[],
        )
        scores, _ = evaluate(fitted.net, data.test, data.task, 512, data.classes, detailed=True)
    return scores["f1"], time.process_time() - began


def peer(folder: Path) -> tuple[float, float]:
    """The same of scikit-learn."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score
    from sklearn.pipeline import make_pipeline

    texts, labels = {}, {}
    for name in PARTS:
        rows = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
        texts[name], labels[name] = [row["text"] for row in rows], [row["label"] for row in rows]
    began = time.process_time()
    model = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000))
    model.fit(texts["train"], labels["train"])
    score = f1_score(labels["test"], model.predict(texts["test"]), average="macro")
    return float(score), time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--inside", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        who, folder = options.inside
        seed = options.seeds
        print(*(peer(Path(folder)) if who == "peer" else ours(Path(folder), seed, options.steps)))
        return
    found: dict[str, list[tuple[float, float]]] = {"ours": [], "peer": []}
    with tempfile.TemporaryDirectory() as place:
        print(f"{write(Path(place), options.rows)} packages")
        for seed in range(options.seeds):
            for who in list(found) if seed % 2 else reversed(found):
                line = [sys.executable, __file__, "--inside", who, place, "--seeds", str(seed)]
                line += ["--steps", str(options.steps)]
                alone = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
                told = subprocess.run(line, check=True, capture_output=True, text=True, env=alone).stdout
                score, seconds = (float(word) for word in told.split()[-2:])
                found[who].append((score, seconds))
                print(f"{who:5s} macro F1 {score:.4f}   {seconds:7.1f} CPU s", flush=True)
    mean = {who: statistics.mean(score for score, _ in own) for who, own in found.items()}
    spent = {who: statistics.median(seconds for _, seconds in own) for who, own in found.items()}
    gap, ratio = 100 * (mean["ours"] - mean["peer"]), spent["ours"] / spent["peer"]
    print(f"macro F1 {mean['ours']:.4f} beside {mean['peer']:.4f}: {gap:+.1f} points")
    print(f"CPU seconds {spent['ours']:.1f} beside {spent['peer']:.1f}: {ratio:.2f} of it")


if __name__ == "__main__":
    main()
