"""Tokens of the prompts of a default campaign on digits, by role and by block, of this checkout or of others.

    python benchmarks/prompt_tokens.py [CHECKOUT ...] [--sprints 2] [--show ROLE]

No model is asked and nothing is trained: trials are made up, a script answers for six roles and has two of
each sprint's four proposals improved (`tests/labs/prompt_lab.py`). So the count is the same every time.
Tokens are those of cl100k_base, whose table LiteLLM brings along; where it is not installed they are
characters / 4, which is said. --show prints the last prompt of a role.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
INSIDE = "JOULELAB_PROMPT_TOKENS"
"""set in the process that runs in a checkout: how many sprints"""
_BLOCK = re.compile(r'<data source="([^"]*)">\n(?:\| .*\n)*</data>\n?')


def counter() -> tuple[str, Callable[[str], int]]:
    """What is counted, and how; the table is read from LiteLLM's folder, without its import or a network."""
    found = find_spec("litellm")
    tables = (
        Path(found.origin).parent / "litellm_core_utils" / "tokenizers" if found and found.origin else None
    )
    if tables is None or not tables.is_dir() or find_spec("tiktoken") is None:
        return "characters / 4", lambda text: round(len(text) / 4)
    os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(tables))
    import tiktoken

    encoding = tiktoken.get_encoding("cl100k_base")
    return "tokens (cl100k_base)", lambda text: len(encoding.encode(text, disallowed_special=()))


def asked() -> list[dict[str, str]]:
    """The prompts of the checkout that comes first on the path, sprint by sprint."""
    from prompt_lab import prompts

    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        sent = prompts(Path(folder), f"sprint.count={os.environ[INSIDE]}")
    return [prompt._asdict() for prompt in sent]


def of(checkout: Path, sprints: int) -> list[dict[str, str]]:
    """The prompts of a checkout, from a process of its own."""
    environment = os.environ | {INSIDE: str(sprints), "PYTHONPATH": f"{checkout}:{ROOT / 'tests' / 'labs'}"}
    line = [sys.executable, __file__]
    done = subprocess.run(line, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{checkout}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def sections(prompt: dict[str, str]) -> dict[str, str]:
    """A prompt's blocks by their source, and the rest of it."""
    told: dict[str, str] = defaultdict(str)
    told["what the role is told"] = prompt["system"]
    for match in _BLOCK.finditer(prompt["user"]):
        told[re.split(r"[,;:(]| of | \d", match[1])[0]] += match[0]
    told["between the blocks"] = _BLOCK.sub("", prompt["user"])
    return told


def report(checkout: Path, sprints: int, count: Callable[[str], int]) -> int:
    """Print what a checkout sends; returns the sum over all sprints."""
    sent = of(checkout, sprints)
    starts = [at for at, prompt in enumerate(sent) if prompt["role"] == "researcher"]
    total = 0
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(sent)], strict=True), 1):
        roles: dict[str, list[int]] = defaultdict(list)
        blocks: Counter[str] = Counter()
        for prompt in sent[start:end]:
            roles[prompt["role"]].append(count(f"{prompt['system']}\n{prompt['user']}"))
            blocks.update({name: count(text) for name, text in sections(prompt).items()})
        own = sum(map(sum, roles.values()))
        total += own
        print(f"{checkout.name}, sprint {number}: {own} in {end - start} prompts")
        for role, sizes in roles.items():
            print(f"  {role:12} n = {len(sizes)}  {sum(sizes):6}  ({min(sizes)} to {max(sizes)})")
        for name, size in blocks.most_common():
            print(f"    {name[:50]:50} {size:6}  {100 * size / own:4.1f} %")
    return total


def main() -> None:
    if INSIDE in os.environ:
        print(json.dumps(asked()))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("checkouts", type=Path, nargs="*", default=[])
    parser.add_argument("--sprints", type=int, default=2)
    parser.add_argument("--show")
    given: Any = parser.parse_args()
    unit, count = counter()
    print(f"counted: {unit}")
    totals = [report(path.resolve(), given.sprints, count) for path in (*given.checkouts, ROOT)]
    for path, total in zip(given.checkouts, totals, strict=False):
        print(f"of {path}: {totals[-1]} / {total} = {totals[-1] / total:.2f}")
    sent = of(ROOT, given.sprints) if given.show else []
    for prompt in [one for one in sent if one["role"] == given.show][-1:]:
        print(f"{prompt['system']}\n{prompt['user']}")


if __name__ == "__main__":
    main()
