"""Memory: what earlier campaigns left in the database, asked for by name; nothing is recalled unasked.

`memory=on` recalls, `off` recalls nothing, `placebo` recalls as much with nothing in it to learn from. What
memory is worth is the difference between `on` and `placebo`, not `off`: with more in the prompt, and with
other first proposals, a search changes whatever the content. Nothing is written here: the store writes
episodes with the rows that they are about.
"""

import random
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Any, Literal, final, get_args

from construct import called
from refusal import Refusal
from research.memory.doubts import Doubt, Doubts
from research.memory.lessons import Lesson, lessons
from research.memory.reading import NOTHING_CAME, Episode, PastTrial, rows, runs, told
from research.memory.retrieval import Query
from research.metrics import is_timed, rank, screening_objective
from research.store import queries
from research.store.connection import Connection
from research.store.store import Store
from research.types import Objective, Record

Mode = Literal["on", "off", "placebo"]
Find = Callable[[Store, Query], Sequence[Episode]]
_DEFAULT = "research.memory.retrieval.Nearest"
_NOTHING: dict[str, int | None] = {"repeats": 0, "refused": 0, "probed": 0, "ended": 0, "false": None}
_OUTCOME = ("word", "figures", "said", "trial_ids")
"""of an episode: what a placebo takes from another"""


@final
class Configured(Record):
    """A configuration that kept the bounds on a task."""

    task: str
    overrides: tuple[str, ...]
    value: float
    """mean of the objective's metric over its seeds"""


@final
class Memory:
    """Answers of the past; `recall`, `lessons` and `elsewhere` never hold a figure of the test split."""

    def __init__(
        self, mode: Mode, store: Store, own: Store, find: Find, doubts: Doubts | None, seed: int = 0
    ) -> None:
        """`store` is read; `own` is the campaign's."""
        self.mode: Mode = mode
        self._store, self._own, self._find, self._doubts, self._seed = store, own, find, doubts, seed
        self._recalled: dict[str, None] = {}

    def recall(self, query: Query) -> tuple[Episode, ...]:
        """Few, relevant episodes in an order that depends on the rows only; empty when memory is off."""
        if self.mode == "off":
            return ()
        recalled = tuple(self._find(self._store, query))[: query.count]
        if self.mode == "placebo":
            recalled = _crossed(self._store, query, len(recalled), self._seed)
        self._recalled |= dict.fromkeys(episode.id for episode in recalled)
        return recalled

    def lessons(self, query: Query) -> tuple[Lesson, ...]:
        """What the trials of the query's task say together, at most `query.count`; made now, never stored."""
        if self.mode == "off" or query.task is None:
            return ()
        wanted = None if query.objective is None else screening_objective(query.objective)
        past = runs(self._store, wanted.metrics if wanted else (), task=query.task)
        wanted = wanted and _beside_default(wanted, past)
        taught = lessons(past, wanted, query.task)[: query.count]
        if self.mode == "placebo":
            dealt = _shuffled(past, self._seed)
            taught = lessons(dealt, wanted, query.task, all_pairs=True)[: len(taught)]
        return tuple(taught)

    def doubts(self, config: Mapping[str, Any]) -> Doubt | None:
        """Why a resolved config need not be run: an equal trial has ended, or it is predicted to fail."""
        return None if self._doubts is None else self._doubts.about(config)

    def counts(self) -> dict[str, int | None]:
        """Of all configurations that were asked about: `repeats`, `refused`, `probed`, `ended`, `false`."""
        return dict(_NOTHING) if self._doubts is None else self._doubts.counts()

    def elsewhere(self, objective: Objective, data: str) -> list[Configured]:
        """Configurations that kept the objective's bounds on other tasks than `data`, the best first."""
        if self.mode == "off":
            return []
        wanted = screening_objective(objective)
        good = configured(runs(self._store, wanted.metrics, but=data), wanted)
        return _dealt(good, self._seed) if self.mode == "placebo" else good

    def facts(self) -> dict[str, Any]:
        """What a sprint's facts say of memory: its mode and the ids of what was recalled."""
        return {"mode": self.mode, "recalled": list(self._recalled)}

    def close(self) -> None:
        """Close the other database, if memory reads one."""
        if self._store is not self._own:
            self._store.close()


def _beside_default(objective: Objective, runs: Sequence[PastTrial]) -> Objective:
    """The objective with relative bounds by the default runs of the task; without any nothing keeps them."""
    plain = [run.figures for run in runs if not run.overrides and not run.failed]
    shared = set.intersection(*map(set, plain)) if plain else set()
    return objective.resolved({k: statistics.fmean(one[k] for one in plain) for k in shared})


def opened(config: Mapping[str, Any] | None, store: Store, *, inert: Sequence[str] | None = None) -> Memory:
    """The memory that `conf/memory` describes, over the campaign's own store or the one of `store.url`.

    Raises `Refusal` for a mode or retrieval that there is not, and a database that cannot be read.
    """
    config = config or {"mode": "off"}
    mode = {True: "on", False: "off"}.get(config["mode"], config["mode"])
    if mode not in get_args(Mode):
        raise Refusal(f"memory.mode={mode} is not known: use memory=on, memory=off or memory=placebo.")
    url = (config.get("store") or {}).get("url")
    read = Store(url, foreign=True) if url and mode != "off" else store
    doubts = None
    if mode == "on":
        told = dict(config.get("doubts") or {}) | ({} if inert is None else {"inert": inert})
        doubts = Doubts(read, store, **told)
    find = _retrieval(config.get("retrieval") or {})
    return Memory(mode, read, store, find, doubts, int(config.get("seed") or 0))


def _retrieval(config: Mapping[str, Any]) -> Find:
    """The class or function that the config names; its other keys are arguments."""
    name = str(config.get("_target_") or _DEFAULT)
    given = {key: value for key, value in config.items() if not key.startswith("_")}
    try:
        target = called(name)
        find: Find = target(**given) if isinstance(target, type) else partial(target, **given)
    except (Refusal, TypeError, ValueError) as error:
        raise Refusal(f"memory.retrieval cannot be made of {name}: {str(error).rstrip('.')}.") from error
    if not callable(find):
        raise Refusal(f"memory.retrieval={name} cannot be called with a store and a query.")
    return find


def configured(runs: Sequence[PastTrial], objective: Objective) -> list[Configured]:
    """Each task's configurations that keep the bounds on every seed, the best first within each task."""
    tasks: dict[str, dict[tuple[str, ...], list[PastTrial]]] = {}
    for run in _comparable(runs, objective):
        tasks.setdefault(str(run.task), {}).setdefault(run.overrides, []).append(run)
    return [good for task in sorted(tasks) for good in _task(task, tasks[task], objective)]


def _comparable(runs: Sequence[PastTrial], objective: Objective) -> list[PastTrial]:
    """All runs; where a clock decides, of each task those of the machine and instrument with most runs."""
    if not any(map(is_timed, objective.metrics)):
        return list(runs)
    kinds = Counter((str(run.task), run.hardware, run.instrument) for run in runs)
    most = {kind[0]: kind for kind, _ in sorted(kinds.items(), key=lambda item: item[1])}
    return [run for run in runs if (str(run.task), run.hardware, run.instrument) == most[str(run.task)]]


def _task(
    task: str, groups: Mapping[tuple[str, ...], Sequence[PastTrial]], objective: Objective
) -> list[Configured]:
    means = {overrides: _means(group, objective) for overrides, group in groups.items()}
    objective = _beside_default(objective, groups.get((), ()))
    ranks = {overrides: rank(objective, mean) for overrides, mean in means.items()}
    kept = sorted((place, overrides) for overrides, (broken, place) in ranks.items() if broken == 0)
    return [
        Configured(task=task, overrides=overrides, value=means[overrides][objective.metric])
        for _, overrides in kept
    ]


def _means(group: Sequence[PastTrial], objective: Objective) -> dict[str, float]:
    """Means over the seeds; empty where one failed or did not measure what is asked for."""
    if any(run.failed or any(key not in run.figures for key in objective.metrics) for run in group):
        return {}
    return {key: statistics.fmean(run.figures[key] for run in group) for key in objective.metrics}


def _crossed(store: Store, query: Query, count: int, seed: int) -> tuple[Episode, ...]:
    """`count` episodes by lot from the whole store, each with the outcome of another."""
    rng = random.Random(f"{seed} {query.model_dump_json()}")
    with store.read() as connection:
        drawn = rows(connection, _drawn(connection, 3 * count, rng))
        all_drawn = told(connection, [(0.0, row, ()) for row in drawn], query.objective)
    real = [one for one in all_drawn if one.word not in NOTHING_CAME][:count]
    rng.shuffle(real)
    return tuple(
        own.model_copy(update={name: getattr(other, name) for name in _OUTCOME})
        for own, other in zip(real, real[1:] + real[:1], strict=True)
    )


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


def _shuffled(runs: Sequence[PastTrial], seed: int) -> list[PastTrial]:
    """The same runs with their outcomes dealt anew."""
    order = list(runs)
    random.Random(seed).shuffle(order)
    return [
        replace(run, failed=other.failed, figures=other.figures)
        for run, other in zip(runs, order, strict=True)
    ]


def _dealt(configurations: Iterable[Configured], seed: int) -> list[Configured]:
    """The same configurations of each task with their values dealt anew."""
    dealt = []
    for task, known in groupby(configurations, key=lambda one: one.task):
        own = list(known)
        values = [one.value for one in own]
        random.Random(f"{seed} {task}").shuffle(values)
        dealt += [one.model_copy(update={"value": value}) for one, value in zip(own, values, strict=True)]
    return dealt
