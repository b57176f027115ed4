"""Raw replies of a model get their verdicts through a real HTTP server, LiteLLM, the client and the gate.

    python benchmarks/replies.py PATH [--space tests/gate/space.yaml]

PATH is a folder with `replies.jsonl` (reply, finish_reason, expected: accept or reject) and `conf`, a config
tree; --space says what may be turned in it. A server on loopback says each reply as OpenAI's protocol does.
It prints how many verdicts were as expected, per category, and every reply whose verdict was another; it
exits with 1 when there is one.
"""

import argparse
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "labs")]

from research.llm import client as llm  # noqa: E402
from research.llm.dialogue import Dialogue, ask_for  # noqa: E402
from research.propose.model import Draft  # noqa: E402
from research.space.gate import Space  # noqa: E402
from scripted_server import ScriptedServer, answer  # noqa: E402  the script runs from any folder

ASKED = [{"role": "user", "content": "Propose one experiment as one JSON object."}]


def verdict(case: dict[str, Any], server: ScriptedServer, client: llm.Client, space: Space) -> Dialogue:
    """What becomes of one reply, without repairs."""
    server.play(answer(case["reply"], case["finish_reason"]))
    return ask_for(
        client,
        Draft,
        ASKED,
        role="benchmark",
        check=lambda it: space.check(list(it.overrides)),
        repairs=0,
    )


def verdicts(cases: list[dict[str, Any]], space: Space) -> Iterator[tuple[dict[str, Any], Dialogue, float]]:
    """Each case with what became of it, and the seconds that this took."""
    with ScriptedServer(answer("{}")) as server:
        config = {"model": "openai/scripted", "api_base": f"{server.base}/v1", "retries": 0}
        client = llm.connect(config, record=lambda **exchange: None)
        assert client is not None
        with client:
            client.prepare()
            for case in cases:
                started = time.perf_counter()
                found = verdict(case, server, client, space)
                yield case, found, time.perf_counter() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--space", type=Path, default=ROOT / "tests" / "gate" / "space.yaml")
    given = parser.parse_args()
    cases = [json.loads(line) for line in (given.path / "replies.jsonl").read_text("utf-8").splitlines()]
    right, wrong, times = Counter(), [], []
    for case, found, seconds in verdicts(cases, Space(given.path / "conf", given.space)):
        said = "reject" if found.record is None else "accept"
        times.append(seconds)
        right[case["category"]] += said == case["expected"]
        if said != case["expected"]:
            wrong.append(f"{case['id']} ({case['category']}): {said}, {'; '.join(found.complaints)}")
    for category, count in sorted(Counter(case["category"] for case in cases).items()):
        print(f"{category:20} {right[category]:4} of {count:4}")
    accepted = sum(case["expected"] == "accept" for case in cases)
    print(f"{right.total()} of {len(cases)} verdicts as expected, {accepted} of which accept")
    print(f"{1000 * statistics.median(times):.1f} ms a reply (median), server and client together")
    print("\n".join(wrong) or "none wrong")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
