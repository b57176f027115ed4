"""`import joulelab` outside of the clone: its example page runs, and goes the way of the commands."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path
from typing import Any

import pytest

from research.store.store import Store

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "notebook.ipynb"
SEARCHED = 'base=["budget.steps=100"'
"""what the page fixes of its campaign: here the compressions too, whose compilers would take half a minute"""
DISTURBING = "raise RuntimeError('this is the notebook\\'s own')\n"
"""of a file beside a notebook that is called as a module of the lab, and no trial may take for it"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is not the clone, in which the one module of the install can be imported."""
    site, own = tmp_path / "site", tmp_path / "own"
    site.mkdir(), own.mkdir()
    (site / "joulelab.py").symlink_to(ROOT / "joulelab.py")
    monkeypatch.setenv("PYTHONPATH", str(site))
    return own


def python(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_install_brings_one_module_and_what_its_page_needs() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert told["tool"]["setuptools"] == {"packages": [], "py-modules": ["joulelab"]}
    needed = " ".join(told["project"]["optional-dependencies"]["notebook"])
    assert all(name in needed for name in ("ipykernel", "nbclient", "pandas"))


def test_a_notebooks_own_modules_stay_its_own(folder: Path) -> None:
    (folder / "train.py").write_text("MINE = 1\n")
    (folder / "models.py").write_text("MINE = 2\n")
    done = python(folder, "import joulelab, train, models; print(train.MINE, models.MINE, joulelab.ROOT)")
    assert done.stdout.split() == ["1", "2", str(ROOT)], done.stderr


def test_a_name_that_is_taken_is_told_and_nothing_is_mixed(folder: Path) -> None:
    (folder / "research.py").write_text("")
    done = python(folder, "import research\nimport joulelab")
    mine = folder / "research.py"
    said = f"ImportError: {mine} is imported as research, a name that the lab needs: rename it."
    assert done.stderr.splitlines()[-1] == said


def test_a_copy_without_its_clone_says_how_it_is_installed(folder: Path) -> None:
    shutil.copy(ROOT / "joulelab.py", folder)
    done = python(folder, "import sys; sys.path.insert(0, '.'); import joulelab")
    assert "joulelab works from its clone" in done.stderr and "pip install -e" in done.stderr


REFUSED = {
    "results('nope.db')": "There is no database at",
    "results(status='don')": "No trials have status=don",
    "research('fewer joules', 'base=[budget.steps=50]', dry_run=True)": "dry_run=true asks for a plan",
    "train('optimizer=adam,lion')": "write joulelab.sweep",
    "train('optimiser=adam')": "optimiser",
    "train('goal=fewer joules')": "agent.py",
    "sweep('optimizer=adam,nonsense')": "nonsense",
    "load(3)": "no database",
    "results()": "no database",
    "research('a good one')": "understood",
}


@pytest.mark.slow
def test_bad_input_is_refused_in_one_sentence_before_anything_runs(folder: Path) -> None:
    code = "import joulelab, refusal\n" + "\n".join(
        f"try: joulelab.{call}\nexcept refusal.Refusal as said: print(str(said).replace(chr(10), ' '))"
        for call in REFUSED
    )
    done = python(folder, code)
    lines = done.stdout.splitlines()
    assert len(lines) == len(REFUSED), done.stderr
    for line, (call, wanted) in zip(lines, REFUSED.items(), strict=True):
        assert wanted in line, (call, line)
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_a_plan_runs_nothing(folder: Path) -> None:
    code = "import joulelab; print(joulelab.sweep('optimizer=adam,lion', 'seed=0,1', dry_run=True).trials)"
    done = python(folder, code)
    assert "4 trials" in done.stdout and done.stdout.endswith("()\n"), (done.stdout, done.stderr)
    assert list(folder.iterdir()) == []


def shown(cell: dict[str, Any]) -> dict[str, Any]:
    """What a cell came to, by kind of text."""
    results = [out for out in cell["outputs"] if out["output_type"] == "execute_result"]
    return dict(results[-1]["data"]) if results else {}


def executed(folder: Path) -> list[dict[str, Any]]:
    """The cells of the page after a kernel of its own has run them in a folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Jupyter's about its own paths and event loops
        import nbformat
        from nbclient import NotebookClient

        page = nbformat.read(PAGE, as_version=4)
        (campaign,) = (cell for cell in page.cells if SEARCHED in cell.source)
        campaign.source = campaign.source.replace(SEARCHED, f'{SEARCHED}, "compress=[]"')
        client = NotebookClient(page, timeout=1200, resources={"metadata": {"path": str(folder)}})
        asyncio.run(client.async_execute())
    return [cell for cell in page.cells if cell.cell_type == "code"]


@pytest.mark.slow
def test_the_page_runs_anywhere_and_finds_what_the_commands_find(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RUNTIME", "DATA", "CONFIG"):
        monkeypatch.setenv(f"JUPYTER_{name}_DIR", str(tmp_path / name))
    for name in ("models.py", "train.py"):
        (folder / name).write_text(DISTURBING)
    cells = executed(folder)
    htmls = ["".join(told) for cell in cells if (told := shown(cell).get("text/html"))]
    assert [html.split("<b>")[1].split()[0] for html in htmls if "<b>" in html] == [
        "trial",
        "sweep",
        "campaign",
    ]
    store = Store(f"sqlite:///{folder}/joulelab.db")
    try:
        trials = store.trials(status="done")
        first = store.results([1])[1].metrics["test/accuracy"]
    finally:
        store.close()
    assert f"{first:.4f}" in htmls[0] and "3" in htmls[1] and len(trials) >= 6
    line = [sys.executable, str(ROOT / "train.py"), "optimizer=adam", "budget.steps=100"]
    again = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=True, env={**os.environ})
    assert "nothing was trained" in again.stdout and "trial 1" in again.stdout


def test_the_page_shows_what_it_came_to() -> None:
    cells = [cell for cell in json.loads(PAGE.read_text())["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert not [out for cell in cells for out in cell["outputs"] if out["output_type"] == "error"]
    assert PAGE.stat().st_size < 100_000 and str(ROOT) not in PAGE.read_text()
