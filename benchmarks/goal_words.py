"""How goals in words are read: right, wrong and inverted of a file of cases, and what the slowest costs.

    python benchmarks/goal_words.py PATH/goals.jsonl [--show]

A case is one JSON object a line: `goal`; `expect` is read, refuse or read_or_refuse; with a goal that is read
`metric`, `direction`, `constraints`, `fixed` and `effect`. Inverted is a goal that is read as asking for the
worse: a bound on the other side, the other direction, or an option that the words exclude.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple, final

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from refusal import Refusal  # noqa: E402  the script runs from any folder
from research.goal.goal import Goal, read  # noqa: E402


@final
class Judged(NamedTuple):
    """One case: whether it was read rightly, or turned round, what was made of it, and CPU ms."""

    right: bool
    inverted: bool
    said: str
    ms: float


def judged(case: dict[str, Any]) -> Judged:
    """Read one case and compare."""
    began = time.process_time()
    try:
        goal: Goal | str = read(case["goal"], ROOT / "conf")
    except Refusal as refusal:
        goal = str(refusal)
    ms = 1000 * (time.process_time() - began)
    if isinstance(goal, str):
        return Judged(case["expect"] != "read", False, f"refused: {goal}", ms)
    made = told(goal)
    wanted = {key: case[key] for key in made if key in case}
    for key in ("constraints", "fixed"):
        wanted |= {key: sorted(wanted[key])} if key in wanted else {}
    same = all(made[key] == value for key, value in wanted.items() if key != "effect")
    same = same and abs(made["effect"] - wanted.get("effect", made["effect"])) < 1e-9
    right = case["expect"] != "refuse" and same
    return Judged(right, not right and turned(case, made), json.dumps(made), ms)


def told(goal: Goal) -> dict[str, Any]:
    """A goal as a case states it."""
    asked = goal.objective
    return {
        "metric": asked.metric,
        "direction": asked.direction,
        "constraints": sorted(bound.words for bound in asked.constraints),
        "fixed": sorted(goal.overrides),
        "effect": goal.smallest_effect,
    }


def turned(case: dict[str, Any], made: dict[str, Any]) -> bool:
    """Whether what was read is the other way round from what was meant."""
    if case["expect"] == "refuse":
        return "exclude" in case.get("why", "") or "bound on what" in case.get("why", "")
    if made["metric"] == case["metric"] and made["direction"] != case["direction"]:
        return True
    sides = {bound.split()[0]: bound.split()[1] for bound in case["constraints"]}
    return any(
        sides.get(bound.split()[0], bound.split()[1]) != bound.split()[1] for bound in made["constraints"]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", type=Path)
    parser.add_argument("--show", action="store_true", help="print each case that is wrong")
    asked = parser.parse_args()
    cases = [json.loads(line) for line in asked.cases.read_text().splitlines() if line.strip()]
    read("fewer joules", ROOT / "conf")  # the tables are made once
    results = [judged(case) for case in cases]
    for case, result in zip(cases, results, strict=True):
        if asked.show and not result.right:
            print(f"{case.get('id', '')} {case['goal']!r}\n  wanted {case}\n  {result.said}")
    right, inverted = sum(one.right for one in results), sum(one.inverted for one in results)
    slowest = max(one.ms for one in results)
    print(f"right {right}, wrong {len(results) - right}, inverted {inverted}, n = {len(results)}; "
          f"slowest {slowest:.1f} ms of CPU")  # fmt: skip


if __name__ == "__main__":
    main()
