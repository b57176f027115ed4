"""Memory's placebo: as many episodes, lessons and configurations, with nothing in them to learn from.

What memory is worth is the difference between `on` and `placebo`, not between `on` and `off`: with more in
the prompt, and with other first proposals, a search changes whatever the content.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

from research.memory.reading import PastTrial, rows, told
from research.memory.records import NOTHING_CAME, Configured, Episode, Query
from research.store import queries
from research.store.connection import Connection
from research.store.store import Store


def episodes(store: Store, query: Query, count: int, seed: int) -> tuple[Episode, ...]:
    """`count` episodes by lot from the whole store, each with the outcome of another."""
    rng = random.Random(f"{seed} {query.model_dump_json()}")
    with store.read() as connection:
        drawn = rows(connection, _drawn(connection, 3 * count, rng))
        all_drawn = told(connection, [(0.0, row, ()) for row in drawn], query.objective)
    real = [one for one in all_drawn if one.word not in NOTHING_CAME][:count]
    rng.shuffle(real)
    order = [*range(1, len(real)), 0] if real else []
    return tuple(_crossed(row, real[other]) for row, other in zip(real, order, strict=True))


def _crossed(one: Episode, other: Episode) -> Episode:
    outcome = {name: getattr(other, name) for name in ("word", "figures", "said", "trial_ids")}
    return one.model_copy(update=outcome)


def _drawn(connection: Connection, count: int, rng: random.Random) -> set[int]:
    """Ids by lot: a number below the largest, and the first id from there on."""
    ends = queries.episode_ids(connection)
    chosen: set[int] = set()
    for _ in range(20 * count if ends else 0):
        if len(chosen) == count:
            break
        assert ends is not None
        chosen.update(queries.episodes_from(connection, rng.randint(*ends), 1))
    if ends and len(chosen) < count:  # a small store: take what is left in order
        chosen.update(queries.episodes_from(connection, ends[0], 2 * count))
    return set(sorted(chosen)[:count])


def shuffled(runs: Sequence[PastTrial], seed: int) -> list[PastTrial]:
    """The same runs with their outcomes dealt anew."""
    order = list(runs)
    random.Random(seed).shuffle(order)
    return [
        replace(run, failed=other.failed, figures=other.figures)
        for run, other in zip(runs, order, strict=True)
    ]


def dealt(configurations: Iterable[Configured], seed: int) -> list[Configured]:
    """The same configurations of each task with their values dealt anew."""
    tasks: dict[str, list[Configured]] = {}
    for configuration in configurations:
        tasks.setdefault(configuration.task, []).append(configuration)
    crossed = []
    for task, known in tasks.items():
        order = list(known)
        random.Random(f"{seed} {task}").shuffle(order)
        for configuration, other in zip(known, order, strict=True):
            crossed.append(configuration.model_copy(update={"value": other.value, "regret": other.regret}))
    return crossed
