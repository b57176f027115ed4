"""What docs/your-own.md says of a person's own work, typed as it stands on files that the test makes."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import own_data
import torchvision_kernels
from models.nets.mlp import MLP

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "your-own.md").read_text()
BLOCKS = dict(re.findall(r"<!-- block: (\w+) -->\n```bash\n(.*?)```", PAGE, re.DOTALL))
OWN = dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL))
"""file -> what the page says is in it"""


def tiny(place: Path) -> list[str]:
    """The weights of the page's network on digits, of another one's classes."""
    shapes = {"1.weight": (32, 64), "1.bias": (32,), "3.weight": (7, 32), "3.bias": (7,)}
    place.mkdir()
    torch.save({name: torch.randn(shape) / 8 for name, shape in shapes.items()}, place / "tiny.pt")
    return [f"data.path={place}/tiny.pt"]


FILES: dict[str, tuple[str, Callable[[Path], list[str]]] | None] = {
    # Block -> what its lines call the files, and what makes them; None where the page has all that it needs.
    "net": None,
    "option": None,
    "zoo": ("pets", own_data.folder),
    "transformers": ("reviews.jsonl", own_data.text),
    "judges": None,
    "weights": ("tiny.pt", tiny),
    "folder": ("pets", own_data.folder),
    "idx": ("/usr/share/datasets/fashion-mnist", own_data.idx),
    "arrays": ("signals.npz", own_data.arrays),
    "table": ("flowers.csv", own_data.table),
    "text": ("reviews.jsonl", own_data.text),
    "corpus": ("books", own_data.corpus),
    "hf": ("saved", own_data.hf),
    "several": ("films.csv", own_data.several),
    "values": ("houses.csv", own_data.values),
}
ELSEWHERE = {"elsewhere": "answers without the lab", "begun": "test/accuracy"}
"""blocks on data of the lab's own -> what their last line tells"""
PACKAGES = {"zoo": "timm", "transformers": "transformers"}
"""blocks that need what is no part of the tests -> what"""
SMALL = ["budget.steps=10", "data.batch_size=16"]
PLANNED = ("transformers", "idx", "arrays", "table", "text", "corpus", "hf")
"""blocks whose campaign would train what the line before it has trained: it is understood and planned"""
BRIEF = {"train.py": ["logger=none", *SMALL], "agent.py": ["budget.trials=1", "budget.seconds=600"]}
"""what makes a line end soon; the trials of a campaign are made small in its base"""


def typed(name: str, folder: Path) -> list[list[str]]:
    """The lines of a block, with the place of the files that were made for it."""
    for file, text in OWN.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)
    lines, needed = BLOCKS[name], FILES[name]
    if needed is not None:
        called, make = needed
        made = next(text for text in make(folder / "made") if text.startswith("data.path="))
        lines = lines.replace(called, made.removeprefix("data.path="))
    return [shlex.split(line) for line in lines.strip().splitlines()]


def test_every_source_has_its_block_and_every_block_its_test() -> None:
    assert BLOCKS.keys() == FILES.keys() | ELSEWHERE.keys() | {"compress"}
    shown = set(re.findall(r"data=(\w+)", PAGE))
    assert shown == set(own_data.MADE), "sources without a block"


def test_an_option_of_ones_own_takes_at_most_six_lines() -> None:
    assert [name for name, text in OWN.items() if name.endswith(".yaml") and len(text.splitlines()) > 6] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_a_block_runs_as_it_is_typed(name: str, tmp_path: Path) -> None:
    if name in PACKAGES:
        pytest.importorskip(PACKAGES[name])
    env = torchvision_kernels.for_commands(tmp_path / "kernels") if name == "zoo" else None
    for python, script, *words in typed(name, tmp_path):
        assert python == "python"
        words = [word.replace("base=[", f"base=[{','.join(SMALL)},") for word in words]
        planned = script == "agent.py" and name in PLANNED
        more = ["dry_run=true"] if planned else BRIEF[script]
        line = [sys.executable, str(ROOT / script), *words, *more]
        done = subprocess.run(line, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{script} {' '.join(words)}: {done.stdout[-1000:]}{done.stderr[-1000:]}"
        told = "nothing was run" if planned else "test/" if script == "train.py" else "control   seed 0"
        assert told in done.stdout, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_network_goes_elsewhere_as_it_is_typed(name: str, tmp_path: Path) -> None:
    for line in BLOCKS[name].strip().splitlines():
        _, script, *words = shlex.split(line)
        more = ["logger=none", "budget.steps=10"] if script == "train.py" else []
        typed = [sys.executable, str(ROOT / script), *words, *more]
        done = subprocess.run(typed, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}: {done.stdout[-1000:]}{done.stderr[-1000:]}"
    assert ELSEWHERE[name] in done.stdout, done.stdout


@pytest.mark.slow
def test_a_model_that_one_has_is_compressed_as_it_is_typed(tmp_path: Path) -> None:
    torch.save(MLP((1, 8, 8), 10).state_dict(), tmp_path / "mine.pt")
    brief = {"train.py": ["logger=none", "budget.finetune=2"], "agent.py": BRIEF["agent.py"]}
    told = []
    for line in BLOCKS["compress"].strip().splitlines():
        _, script, *words = shlex.split(line)
        typed = [sys.executable, str(ROOT / script), *words, *brief[script]]
        done = subprocess.run(typed, cwd=tmp_path, capture_output=True, text=True, check=False)
        # A latency cannot be settled where others are at work, which is said.
        fine = done.returncode == 0 or (script == "agent.py" and "The machine is too busy" in done.stderr)
        assert fine, f"{line}: {done.stdout[-1000:]}{done.stderr[-1000:]}"
        told.append(done.stdout)
    # The given model is the first row, and each of the others is held against it.
    table = told[0].partition("\n\n")[2]
    rows = ["compress=[]", "compress=[int8_static]", "compress=[structured,int8_static]"]
    assert [table.index(f"{row}\n") for row in rows] == sorted(table.index(f"{row}\n") for row in rows)
    assert "backend torch" in table and table.count("backend inductor") == 2
    assert "nothing is trained, and compress alone is searched" in told[1] and "control   seed 0" in told[1]
