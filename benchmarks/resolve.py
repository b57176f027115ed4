"""Resolving and signing a point of conf/: research/space/gate.py beside Hydra's own compose.

    python benchmarks/resolve.py [--sets 1000] [--conf conf] [--space conf/space.yaml]

Each set picks options for some groups and values for some of the keys that these options have, at random.
It prints the CPU milliseconds of both on the same sets (median and the middle half), the ratio, and how many
of the resolved configs are equal; it exits with 1 when any differs. Both sign what they resolved.
"""

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from research.compose.compose import Composer, named  # noqa: E402  the script runs from any folder
from research.space.gate import Space  # noqa: E402


def leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys of plain values and lists, without the keys that choose code."""
    if not isinstance(node, dict):
        yield path, node
        return
    for key, value in node.items():
        if not key.startswith("_"):
            yield from leaves(value, f"{path}.{key}".lstrip("."))


def typed(value: Any, draw: random.Random) -> str:
    """The text of another value of the same kind."""
    if isinstance(value, bool):
        return draw.choice(["true", "false"])
    if isinstance(value, int):
        return str(draw.randrange(1, 10_000))
    if isinstance(value, float):
        return repr(10 ** draw.uniform(-6, 1))
    if isinstance(value, list):
        return f"[{','.join(typed(item, draw) for item in value)}]"
    return (
        draw.choice(["null", "some text", "'quoted, text'", "1e-3x", "a/b.c"]) if value is None else "other"
    )


def _own(composer: Composer, group: str, option: str) -> bool:
    """Whether an option reads a person's own files, without which it cannot be resolved."""
    if group != "data":
        return False
    card: dict[str, Any] = composer.composed({group: option}).tree[group]
    return "source" in card


def overrides(composer: Composer, draw: random.Random) -> list[str]:
    """A random set: options of up to all groups, values of up to eight keys."""
    chosen = {}
    for group in draw.sample(sorted(composer.chosen), draw.randint(0, len(composer.chosen))):
        options = [name for name in composer.files.options(group) if not _own(composer, group, name)]
        many = isinstance(composer.composed({}).choices[group], tuple)
        some = tuple(draw.sample(options, draw.randint(0, len(options))))
        chosen[group] = some if many else draw.choice(options)
    keys = list(leaves(composer.composed(chosen).tree))
    values = [
        f"{key}={typed(value, draw)}" for key, value in draw.sample(keys, draw.randint(0, min(8, len(keys))))
    ]
    both = [f"{group}={named(option)}" for group, option in chosen.items()] + values
    return draw.sample(both, len(both))


def timed(act: Callable[[list[str]], Any], sets: list[list[str]]) -> tuple[list[Any], list[float]]:
    """Results and CPU milliseconds of `act` on every set: what else the machine does counts for neither."""
    results, spent = [], []
    for one in sets:
        start = time.thread_time()
        results.append(act(one))
        spent.append(1e3 * (time.thread_time() - start))
    return results, spent


def spread(spent: list[float]) -> str:
    low, middle, high = statistics.quantiles(spent, n=4)
    return f"{middle:8.2f} ms  (middle half {low:.2f} to {high:.2f}, worst {max(spent):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--conf", type=Path, default=ROOT / "conf")
    parser.add_argument("--space", type=Path, default=ROOT / "conf" / "space.yaml")
    options = parser.parse_args()

    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    known, draw = Space(options.conf, options.space), random.Random(0)
    sets = [overrides(known.composer, draw) for _ in range(options.sets)]
    space = Space(options.conf, options.space)  # a fresh one: it knows the defaults, and no option but theirs
    root = space.file.root

    def signed(config: Any) -> Any:
        return config, space.signature(config)

    ours, our_ms = timed(lambda one: signed(space.resolve(one)), sets)
    with initialize_config_dir(str(options.conf.resolve()), version_base="1.3"):
        theirs, their_ms = timed(
            lambda one: signed(OmegaConf.to_container(compose(root, one), resolve=True)), sets
        )
    equal = sum(one == other for one, other in zip(ours, theirs, strict=True))
    ratio = statistics.median(their_ms) / statistics.median(our_ms)
    print(f"n = {len(sets)} random override sets over {options.conf}, each resolved and signed")
    print(f"  Hydra's compose  {spread(their_ms)}")
    print(f"  research/space   {spread(our_ms)}")
    print(f"  ratio            {ratio:8.0f}")
    print(f"  over 5 ms        {sum(one > 5 for one in our_ms)} of ours")
    print(f"  equal            {equal} of {len(sets)}")
    sys.exit(equal != len(sets))


if __name__ == "__main__":
    main()
