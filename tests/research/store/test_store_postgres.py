"""What only a real PostgreSQL server can show: restarts, races of the first start, another host's clock."""

import threading

import pytest
import sqlalchemy as sa

from refusal import Refusal
from research.store import outage
from research.store.store import Store, TrialClaim
from research.types import Key

pytestmark = pytest.mark.slow
KEY = Key("s", "c", "d", "h")


def test_a_result_outlasts_the_restart_of_the_server(restarting, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(restarting.url("lab"))
    claim = store.claim(KEY, config={})
    assert isinstance(claim, TrialClaim)
    restarting.stop()
    with monkeypatch.context() as hurried, pytest.raises(Refusal, match="cannot be used"):
        hurried.setattr(outage, "PATIENCE_S", 0)
        store.trials()
    threading.Timer(1.5, restarting.start).start()
    store.finish(claim, {"a": 1.0}, {}, [{"step": 1, "a": 0.5}])
    assert store.known([KEY])[KEY].metrics == {"a": 1.0} and len(store.curve(claim.trial_id)) == 1
    store.close()


def test_a_commit_whose_answer_was_lost_is_not_an_error(restarting, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(restarting.url("lab"))
    claim = store.claim(KEY, config={})
    assert isinstance(claim, TrialClaim)
    commit, lost = sa.engine.Connection._commit_impl, []

    def cut(self: sa.Connection) -> None:
        commit(self)
        if not lost:
            lost.append(True)
            restarting.stop()
            restarting.start()
            self.exec_driver_sql("SELECT 1")  # fails as the answer to the commit would have

    monkeypatch.setattr(sa.engine.Connection, "_commit_impl", cut)
    store.finish(claim, {"a": 1.0})
    assert lost and store.known([KEY])[KEY].metrics == {"a": 1.0}
    store.close()


def test_a_wrong_database_or_user_is_a_sentence_without_the_password(postgres) -> None:
    url = postgres.url("mine").replace("joule@", "joule:secret@")
    for wrong, words in (
        (url.replace("/mine", "/wrong"), "create it"),
        (url.replace("joule:", "nobody:"), "user"),
    ):
        with pytest.raises(Refusal, match=words) as refused:
            Store(wrong)
        assert "secret" not in str(refused.value)


def test_a_user_without_rights_is_a_sentence(postgres) -> None:
    url = postgres.url("closed")
    postgres.query("CREATE USER guest")
    postgres.query("REVOKE ALL ON SCHEMA public FROM public", "closed")
    with pytest.raises(Refusal, match="grant it"):
        Store(url.replace("joule@", "guest@"))


def test_a_plain_url_takes_the_driver_that_the_extra_installs(postgres) -> None:
    store = Store(postgres.url("plain").replace("postgresql+psycopg:", "postgresql:"))
    assert isinstance(store.claim(KEY, config={}), TrialClaim)
    store.close()
