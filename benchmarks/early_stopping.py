"""How often early stopping is wrong, and what it saves: every stopped training is trained to its end as well.

    python benchmarks/early_stopping.py [--goals default digits score] [--seeds 0 1 2 3] [--seconds 300]

Each campaign is `agent.py` with `screen.stop.audit=1`: what a bar has ended is trained once more, without it,
and was wrong to end where it keeps every bound and costs no more than what it was held to (a cost is the
goal), or beats the best that was screened (a score is). Costs of windows that a neighbour disturbed decide
nothing and are not counted as audited. CPU seconds saved are those that the stopped would have come to at
the pace of their curves, beside those of all that was trained; the audit's own are in neither.

Target of the plan: at most 5 % of the stopped were wrong to stop.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple, final

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

GOALS = {
    "default": None,
    "digits": "95 % accuracy on digits with a cnn for fewer joules",
    "score": "best accuracy on mnist1d with a cnn",
}
"""name -> the goal in words; None is that of conf/agent.yaml"""
SCREENED = ("promote.arms=1", "promote.seeds=[1]", "confirm.seeds=3", "confirm.looks=1", "confirm.estimate=0")
"""what little follows the screening, which is looked at here"""


@final
class Counted(NamedTuple):
    """Sums over campaigns."""

    screened: int = 0
    stopped: float = 0
    audited: float = 0
    wrong: float = 0
    saved: float = 0
    """CPU seconds that the stopped would have needed"""
    used: float = 0
    """CPU seconds of the screened and the stopped, without the audit"""

    def plus(self, other: "Counted") -> "Counted":
        """Both together."""
        return Counted(*(mine + its for mine, its in zip(self, other, strict=True)))


def campaign(goal: str | None, seed: int, seconds: float, turns: int, folder: Path) -> Counted:
    """One campaign of `agent.py` on a database of its own."""
    from research.store.store import Store

    url = f"sqlite:///{folder / 'lab.db'}"
    line = [
        *(sys.executable, str(ROOT / "agent.py"), f"seed={seed}", f"root={folder / 'runs'}"),
        *(f"store.url={url}", "discovered=null", "sprint.count=1", "screen.stop.audit=1", *SCREENED),
        *(f"screen.turns={turns}", f"budget.seconds={seconds:g}", "budget.trials=null"),
        *([] if goal is None else [f"goal={goal}"]),
    ]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()
        print(f"  no campaign: {said[-1] if said else done.returncode}", flush=True)
        return Counted()
    store = Store(url)
    (sprint,) = store.sprints()
    pruned = sprint["facts"]["pruned"]
    rows = [row for row in store.proposals() if row["status"] in ("screened", "promoted", "stopped")]
    ids = [number for row in rows for number in row["facts"].get("screened") or []]
    used = sum(one.metrics.get("train/cpu_seconds", 0.0) for one in store.results(ids).values())
    spent = [(row["facts"].get("audit") or {}).get("spent") or {} for row in rows]
    used += sum(one.get("train/cpu_seconds", 0.0) for one in spent)
    store.close()
    told = (pruned[name] for name in ("trials", "audited", "wrong", "cpu_seconds_saved"))
    return Counted(len(rows), *told, used)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--goals", nargs="+", default=list(GOALS), choices=GOALS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3], help="one campaign each")
    parser.add_argument("--seconds", type=float, default=300.0, help="of a campaign")
    parser.add_argument("--turns", type=int, default=32, help="proposals that are screened")
    asked = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores")
    total = Counted()
    for name in asked.goals:
        found = Counted()
        for seed in asked.seeds:
            with tempfile.TemporaryDirectory() as folder:
                own = campaign(GOALS[name], seed, asked.seconds, asked.turns, Path(folder))
            print(f"  {told(f'{name} seed {seed}', own)}", flush=True)
            found = found.plus(own)
        print(told(name, found), flush=True)
        total = total.plus(found)
    print(told("all", total))


def told(name: str, found: Counted) -> str:
    """One line of figures."""
    wrong = f"{found.wrong:.0f} of {found.audited:.0f} audited wrong" if found.audited else "none audited"
    share = f" ({found.wrong / found.audited:.0%})" if found.audited else ""
    whole = found.saved + found.used
    saved = f"{found.saved:.1f} CPU s saved ({found.saved / whole:.0%})" if whole else "nothing trained"
    return f"{name:18} {found.screened} tried, {found.stopped:.0f} stopped, {wrong}{share}, {saved}"


if __name__ == "__main__":
    main()
