"""Few relevant episodes by task, region, words and phase; hostile words are data; no test figure is told."""

from itertools import pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from past import ENERGY, insight, proposed, sprint, trial
from refusal import Refusal
from research.memory.retrieval import Nearest, Query, likeness
from research.store import index, schema
from research.store.index import words
from research.store.store import Store

FIND = Nearest()
FIGURES = {"val/accuracy": 0.9, "test/accuracy": 0.5, "train/energy_j": 7.0}


def found(store: Store, **query) -> list[str]:
    return [one.id for one in FIND(store, Query(**query))]


def test_a_word_a_task_and_a_region_find_what_shares_them(store: Store) -> None:
    digits, text = sprint(store), sprint(store, "pytext")
    proposed(store, digits, ["optimizer=lion", "optimizer.lr=0.001"], "Signs need smaller steps")
    proposed(store, text, ["optimizer=muon"], "Orthogonal updates")
    proposed(store, digits, ["model.width=64"], "Half the width is enough")
    assert found(store, words="WIDTH!") == ["proposal 3"]
    assert found(store, words="orthogonal", task="pytext") == ["proposal 2"]
    assert set(found(store, task="digits")) == {"proposal 1", "proposal 3"}
    assert found(store, overrides=("model.width=96",)) == ["proposal 3"]
    assert found(store, overrides=("optimizer.lr=0.0012", "optimizer=lion"), task="digits")[0] == "proposal 1"
    assert found(store, task="mnist") == found(store, words="nothing like it") == []
    assert found(store, task="digits", count=1) == found(store, task="digits")[:1] and not found(
        store, count=0
    )


def test_one_configuration_is_told_once_by_its_verdict_and_without_test_figures(store: Store) -> None:
    ids = [trial(store, ["optimizer=lion"], FIGURES, seed=seed) for seed in (0, 1)]
    fresh = trial(store, ["optimizer=lion"], {"val/accuracy": 0.1}, seed=1000)
    number = sprint(store)
    about = proposed(store, number, ["optimizer=lion"], "Signs are cheap", screened=ids)
    store.set_proposal(about, "supported", {"screened": ids, "confirmed": [fresh]})
    insight(store, number, about, [fresh])
    (told,) = FIND(store, Query(task="digits", objective=ENERGY, phase="evaluation"))
    assert (told.id, told.word, told.kind) == ("insight 1", "open", "insight")
    assert told.trial_ids == tuple(ids) and told.said == "Signs are cheap"
    assert told.figures == {"train/energy_j": 7.0, "val/accuracy": 0.9}
    assert "0.987654" not in told.model_dump_json() and "test/" not in told.model_dump_json()


def test_phases_read_what_they_turn(store: Store) -> None:
    number = sprint(store)
    proposed(store, number, ["optimizer.lr=0.1"])
    proposed(store, number, ["model.depth=2"])
    trial(store, ["model.depth=3"], None, reason="out of memory")
    assert found(store, task="digits", phase="optimization")[0] == "proposal 1"
    assert found(store, task="digits", phase="architecture")[0] == "proposal 2"
    (failed,) = FIND(store, Query(words="memory"))
    assert (failed.id, failed.word, failed.said) == ("trial 1", "failed", "out of memory")


def test_an_episode_is_never_rewritten(store: Store) -> None:
    proposed(store, None, ["model.depth=2"])
    with pytest.raises((sa.exc.DBAPIError, Refusal), match="never rewritten"), store.write() as connection:
        connection.execute(sa.update(schema.episode).values(terms="x"))


HOSTILE = st.text(st.characters(exclude_categories=("Cs",)), max_size=40) | st.sampled_from(
    [
        '"',
        "'; DROP TABLE episode; --",
        "a AND OR NOT b*",
        "NEAR(a b, 1)",
        "terms:x ^y",
        "& | ! <-> :*",
        "{a}",
        "%_\\",
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=25)
@given(HOSTILE, HOSTILE)
def test_words_and_overrides_are_data_never_query_syntax(store: Store, text: str, other: str) -> None:
    number = proposed(store, None, [f"model.name={text}"], words=f"hostile {text}"[:2000])
    ids = {one.id for one in FIND(store, Query(words=f"hostile {text}", count=50))}
    assert f"proposal {number}" in ids
    FIND(store, Query(task=other, words=other, overrides=(other, f"{other}={text}"), phase="planning"))
    assert all(term.isascii() and term.isalnum() for term in words(text))


def test_a_database_of_version_2_has_its_past_indexed(store: Store, store_url: str) -> None:
    with store.write() as connection:
        connection.execute(sa.text("DROP TABLE episode" + " CASCADE" * (connection.dialect.name != "sqlite")))
        if connection.dialect.name == "sqlite":
            connection.execute(sa.text("DROP TABLE episode_terms"))
        elif connection.dialect.name == "postgresql":
            connection.execute(sa.text("DROP FUNCTION episode_kept"))
        connection.execute(sa.text("UPDATE schema_version SET version = 2"))
        row = {"created": 0, "status": "x", "facts": {}}
        row["proposal"] = {"hypothesis": "old words", "overrides": ["a=1"], "metric": "m"}
        connection.execute(sa.insert(schema.proposal).values(**row))
    again = Store(store_url)
    assert found(again, words="words old") == ["proposal 1"]
    with again.write() as connection:
        index.install(connection)
    again.close()


def test_sqlites_index_is_merged_while_it_grows_the_less_often_the_larger_it_is(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/lab.db")
    row = {"created": 0, "status": "x", "facts": {}}
    row["proposal"] = {"hypothesis": "small steps", "overrides": ["a=1"], "metric": "m"}
    for start in range(0, 256, 16):
        with store.write() as connection:
            connection.execute(sa.insert(schema.proposal), [row] * 16)
            for number in range(start + 1, start + 17):
                index.of_proposal(connection, number)
    with store.read() as connection:
        segments = sa.text("SELECT count(DISTINCT segid) FROM episode_terms_idx")
        assert connection.execute(segments).scalar() == 1
    store.close()
    due = [number for number in range(1, 200_000) if index._due(number)]
    assert sum(due) < 64 * 200_000, "an episode's part of all merges"
    assert all(later - at <= max(256, at / 16) for at, later in pairwise(due))


def test_configurations_are_alike_by_what_both_turn() -> None:
    assert likeness({"lr": "0.1"}, {"lr": "0.2"}) == 0.5
    assert likeness({"lr": "0.1", "model": "mlp"}, {"lr": "0.1"}) == 0.5
    assert likeness({"model": "mlp"}, {"model": "cnn"}) == likeness({}, {"a": "1"}) == 0.0
    assert likeness({"w": "0"}, {"w": "0.0"}) == 1.0 and likeness({"w": "-1"}, {"w": "1"}) == 0.0
