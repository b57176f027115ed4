"""How many trials of a campaign a team of six roles gets whose model takes its time, and what it is asked.

    python benchmarks/team_turns.py [--latency 8] [--folder F] [OVERRIDES of agent.py ...]

A server on loopback speaks OpenAI's protocol and answers each role with a valid reply after --latency
seconds. `python agent.py llm=openai` runs the default goal once with default budgets against it. Printed are,
with n and device: the trials by proposer and lane, how many proposals were accepted and run, the seconds of
each box, and the tokens of the prompts of each sprint by role. It exits with 1 where less than half of the
proposals that were run are what the team had accepted.
"""

import argparse
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, final

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "labs")]

from research.propose.proposer import lane_of  # noqa: E402
from research.store.store import Store  # noqa: E402
from research.team.discussion import PROPOSER  # noqa: E402
from team_lab import TeamServer  # noqa: E402  the script runs from any folder

STAGES = ("screened", "promoted", "confirmed")
USUAL = 4
"""proposals where a prompt does not say how many trials there are"""


def ideas() -> Iterator[tuple[str, ...]]:
    """Overrides for a cheap training of the digits, no two alike, the most promising first."""
    for steps, rate, width in itertools.product((120, 90, 75, 150), (0.006, 0.01, 0.015), (96, 64, 48)):
        yield (f"budget.steps={steps}", f"optimizer.lr={rate}", f"model.width={width}")


@final
class SlowTeam:
    """What each role says, after some seconds."""

    def __init__(self, latency_s: float) -> None:
        self._latency_s, self._ideas, self._count = latency_s, ideas(), USUAL
        self.server = TeamServer(self._say)

    def _say(self, role: str, prompt: str) -> str | None:
        time.sleep(self._latency_s)
        said: dict[str, Any] = {
            "researcher": lambda: self._hypotheses(prompt),
            "architect": self._plan,
            "engineer": self._builds,
            "proposer": lambda: {"hypothesis": "It costs less.", "overrides": next(self._ideas)},
        }
        return json.dumps(said[role]()) if role in said else None

    def _hypotheses(self, prompt: str) -> dict[str, Any]:
        told = re.search(r"\b(\d+) trials?\b", prompt.rpartition("</data>")[2])
        self._count = min(8, int(told[1])) if told else USUAL
        claims = [f"Shorter training at rate number {n} costs fewer joules." for n in range(self._count)]
        return {"hypotheses": [{"claim": claim, "because": "Joules grow with steps."} for claim in claims]}

    def _plan(self) -> dict[str, Any]:
        numbers = range(1, self._count + 1)
        arms = [
            {"hypothesis": n, "change": "fewer steps", "refuted_by": "train/energy_j not less by 10 %"}
            for n in numbers
        ]
        return {"arms": arms}

    def _builds(self) -> dict[str, Any]:
        numbers = range(1, self._count + 1)
        return {"builds": [{"arm": n, "overrides": next(self._ideas)} for n in numbers]}


@final
class Ran(NamedTuple):
    """What a campaign came to."""

    trials: dict[str, set[int]]
    """proposer -> trials with figures of its proposals in all stages, the controls' under `control`"""
    accepted: int
    """proposals of the team that were queued"""
    run: int
    """those of them that were run"""
    proposals: int
    """proposals that were run, whoever made them"""
    boxes: list[dict[str, Any]]
    tokens: list[Counter[str]]
    """of each sprint's prompts, by role"""

    @property
    def share(self) -> float:
        """The part of the proposals that were run which the team had accepted."""
        return self.run / self.proposals if self.proposals else 0.0


def campaign(folder: Path, latency_s: float, overrides: list[str]) -> tuple[Ran, subprocess.CompletedProcess]:
    """Run `agent.py` against a slow team, its files in `folder`."""
    team = SlowTeam(latency_s)
    given = [f"root={folder}/runs", f"store.url=sqlite:///{folder}/lab.db", "discovered=null"]
    with team.server.http as http:
        given += ["llm=openai", "llm.model=openai/m", f"llm.api_base={http.base}/v1", "llm.caps.dollars=null"]
        command = [sys.executable, str(ROOT / "agent.py"), *given, *overrides]
        environment = os.environ | {"OPENAI_API_KEY": "none", "COLUMNS": "200"}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"agent.py left with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return read(folder, team.server.prompts), done


def read(folder: Path, prompts: list[tuple[str, str]]) -> Ran:
    """What the rows say, and the tokens of the prompts as the server had them."""
    store = Store(f"sqlite:///{folder}/lab.db")
    try:
        rows, sprints = store.proposals(), store.sprints()
        asked = [row["sprint_id"] for row in store.interactions()]
    finally:
        store.close()
    trials: dict[str, set[int]] = {}
    for row in rows:
        ids = {number for stage in STAGES for number in row["facts"].get(stage) or () if number is not None}
        trials.setdefault(row["proposal"].proposer, set()).update(ids)
    tokens = {row["id"]: Counter[str]() for row in sprints}
    for sprint, (role, text) in zip(asked, prompts, strict=True):
        tokens[sprint][role] += count(text)
    ran = [row for row in rows if row["facts"].get("screened") or row["status"] in ("failed", "stopped")]
    own = [row for row in rows if row["proposal"].proposer == PROPOSER and row["facts"].get("review")]
    queued = [row for row in own if row["status"] not in ("dropped", "refused", "repeat")]
    return Ran(
        trials=trials,
        accepted=len(queued),
        run=sum(row in ran for row in queued),
        proposals=sum(row["proposal"].proposer != "control" for row in ran),
        boxes=[row["facts"].get("boxes") or {} for row in sprints],
        tokens=list(tokens.values()),
    )


def count(text: str) -> int:
    """Tokens of a text by the encoding that LiteLLM ships with."""
    from research.llm.wire import load

    load()
    from litellm.litellm_core_utils.default_encoding import encoding

    return len(encoding.encode(text, disallowed_special=()))


def device() -> str:
    """The processor and its cores that may be used."""
    named = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return f"{named[1] if named else 'a CPU'}, {len(os.sched_getaffinity(0))} cores"


def told(ran: Ran, latency_s: float, seconds: float) -> list[str]:
    """The figures in lines."""
    lines = [f"one campaign (n = 1) of {seconds:.0f} s, {latency_s:g} s a reply; {device()}"]
    for name, ids in sorted(ran.trials.items(), key=lambda pair: -len(pair[1])):
        lane = "harness" if name == "control" else lane_of(name)
        lines.append(f"  {len(ids):4} trials  {name:18} {lane}")
    accepted = f"accepted by the team {ran.accepted}, run {ran.run}: {100 * ran.share:.0f} %"
    lines.append(f"{accepted} of the {ran.proposals} proposals that were run, early stopped ones included")
    for number, (boxes, tokens) in enumerate(zip(ran.boxes, ran.tokens, strict=True), start=1):
        used = ", ".join(
            f"{name} {box['used_s']:.0f} of {box['limit_s']:.0f} s" for name, box in boxes.items()
        )
        roles = ", ".join(f"{role} {n}" for role, n in tokens.most_common())
        lines.append(f"sprint {number}: {used}; {tokens.total()} tokens of prompts: {roles}")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--latency", type=float, default=8.0)
    parser.add_argument("--folder", type=Path, default=None)
    given, overrides = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as made:
        began = time.monotonic()
        ran, _ = campaign((given.folder or Path(made)).absolute(), given.latency, overrides)
        print("\n".join(told(ran, given.latency, time.monotonic() - began)))
    return int(ran.share < 0.5)


if __name__ == "__main__":
    raise SystemExit(main())
