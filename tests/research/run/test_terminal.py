"""What a terminal of 80 and of 60 columns shows of panels, tables and lines: all of it, no line too long."""

import re
import sys
from functools import cache
from pathlib import Path

import pytest

from pseudo_terminal import written

ROOT = Path(__file__).parents[3]
PANEL = """
from research.run.lines import show_trial
metrics = {"test/accuracy": 0.9722, "val/accuracy": 0.9651, "test/loss": 0.1, "size/parameters": 9610.0,
           "train/seconds": 4000.0, "train/steps_per_second": 0.783, "infer/samples_per_second": 1.69e6,
           "train/energy_j": 3.2}
facts = {"energy_method": "estimated", "energy_basis": "CPU seconds x 4 W a core " + "x" * 90 + "END",
         "notes": ["a note with \\x1b[2J and \\u202e in it"], "disturbed": {"train": "others ran"}}
answer = {"status": "known", "trial_id": 7, "metrics": metrics, "facts": facts, "folder": "/nowhere"}
show_trial(answer, ["name='my läuft'", "compress=[a,b]", "optimizer=lion"])
"""
TABLE = """
from research.run import sweep_table
from research.run.runner import Job, Outcome
told = []
for name in ("adam", "a_very_long_name_of_an_optimizer_that_somebody_has_written", "sgd\\x1b[31m"):
    for seed in (0, 1, 2):
        score = 0.9 + seed / 100
        metrics = {"val/accuracy": score, "test/accuracy": score, "train/energy_j": 3.0 + seed,
                   "train/seconds": 2.5 + seed}
        job = Job({"score": "val/accuracy"}, [f"optimizer={name}", f"seed={seed}"])
        told.append(Outcome(job, "done", None, seed, score, metrics, {"energy_method": "estimated"}))
told.append(Outcome(Job({"score": "val/accuracy"}, ["optimizer=adam", "seed=3"]), "failed", "diverged"))
sweep_table.show(told, "val/accuracy")
"""
LINES = """
from research.run.lines import Lines
from research.run.lines import Progress
from research.run.runner import Job, Outcome
import sys
Lines().say("goal       " + "fewer joules and more accuracy " * 6 + "END\\x1b[2J")
job = Job({"score": "val/accuracy"}, ["name=" + "word " * 30 + "END", "seed=0"])
with Progress([job, Job({}, ["seed=1"])], bar=False) as progress:
    progress.show(Outcome(job, "failed", "why \\u202e not"))
"""


PROGRAMS = (PANEL, TABLE, LINES)
WIDTHS = (120, 80, 60)
RESIZED = f"""
import struct, termios
from fcntl import ioctl
for columns in {WIDTHS}:
    ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    for program in {PROGRAMS}:
        exec(program, {{}})
        print(chr(0), end="", flush=True)
"""


@cache
def screens() -> list[str]:
    """What each program writes at each width, by one process: what they import takes a second."""
    code, text = written([sys.executable, "-c", RESIZED], WIDTHS[0], ROOT)
    assert code == 0, text
    return text.split("\0")


def screen(program: str, columns: int) -> list[str]:
    return screens()[WIDTHS.index(columns) * len(PROGRAMS) + PROGRAMS.index(program)].split("\n")


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 60])
def test_a_panel_loses_nothing(columns: int) -> None:
    lines = screen(PANEL, columns)
    assert max(map(len, lines)) <= columns
    told = "".join(line.strip("│╭╮╰╯─ ") for line in lines)
    flat = re.sub(r"\s+", "", told)
    for part in (
        "0.9722",
        "66.7min",
        "0.783steps/s",
        "1.69Msamples/s",
        "x" * 90 + "END",
        "disturbed",
        "force=true",
    ):
        assert part in flat
    assert "a note with \\x1b[2J and \\u202e" in " ".join(line.strip("│ ") for line in lines).replace(
        "  ", " "
    )
    assert "'name=myläuft''compress=[a,b]'" in flat and "…" not in told


@pytest.mark.parametrize("columns", WIDTHS)
def test_a_table_keeps_every_column(columns: int) -> None:
    lines = screen(TABLE, columns)
    assert max(map(len, lines)) <= columns
    told = "\n".join(lines)
    for head in ("val/accuracy", "test/accuracy", "train/energy_j", "train/seconds", "failed"):
        assert head in told
    assert (
        told.count("0.9100 ± 0.025") == 6
        and told.count("3.5 s ± 71 %") == 3
        and told.count("4 J ± 62 %") == 3
    )
    assert "…" not in told and "sgd\\x1b[31m" in told and "\x1b" not in told
    head = next((line for line in lines if line.startswith("  arm")), None)  # none where each arm has lines
    assert (head is None) == (columns < 100)
    names = [line[: head.index(" n ")] if head else line for line in lines]
    assert "a_very_long_name_of_an_optimizer_that_somebody_has_written" in "".join(map(str.strip, names))


@pytest.mark.parametrize("columns", [80, 60])
def test_lines_are_wrapped_under_their_text(columns: int) -> None:
    lines = screen(LINES, columns)
    assert max(map(len, lines)) <= columns
    told = "\n".join(lines)
    assert lines[0].startswith("goal       fewer") and lines[1].startswith(" " * 11 + "")
    assert "END\\x1b[2J" in told and "why \\u202e not" in " ".join(told.split())
    assert told.count("END") == 2
