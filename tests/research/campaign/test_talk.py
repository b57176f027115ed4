"""Two threads touch the campaign in turn: nothing is touched by both at once, and none is left behind."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext

import pytest

from research.campaign.model import Talk
from research.run.runner import Job, Outcome


class Asked:
    """A client that waits for a server like the real one: elsewhere, and until it is interrupted."""

    def __init__(self) -> None:
        self.elsewhere = nullcontext
        self.answers, self.stopped = threading.Semaphore(0), False

    def ask(self) -> None:
        with self.elsewhere():
            assert self.answers.acquire(timeout=20)
        if self.stopped:
            raise KeyboardInterrupt

    def interrupt(self) -> None:
        self.stopped = True
        self.answers.release()


def test_trials_train_while_a_server_is_waited_for() -> None:
    client, order = Asked(), list[str]()

    def run(jobs: Sequence[Job]) -> Iterator[Outcome]:
        for job in jobs:
            order.append("trained")
            client.answers.release()
            # The talk goes on in here, and nowhere else.
            while "told" not in order:
                time.sleep(0.001)
            yield Outcome(job, "done")

    def work() -> None:
        order.append("asked")
        client.ask()
        order.append("told")

    with Talk(client) as talk:
        talk.begin(work)
        order.append("begun")
        assert len(list(talk.beside(run)([Job({}, [])]))) == 1
        talk.finish()
    assert order[0] == "begun" and set(order[1:3]) == {"asked", "trained"} and order[3:] == ["told"]


def test_only_one_of_both_works_at_a_time() -> None:
    client, inside, most = Asked(), [0], [0]

    def busy() -> None:
        for _ in range(200):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0)
            inside[0] -= 1

    def work() -> None:
        for _ in range(5):
            busy()
            client.answers.release()
            client.ask()

    with Talk(client) as talk:
        talk.begin(work)
        while talk.on:
            busy()
            with talk.let_go():
                time.sleep(0.001)
    assert most == [1]


def test_who_waits_is_woken_by_what_was_told_and_by_the_end() -> None:
    client, queue = Asked(), list[int]()

    def work() -> None:
        client.ask()
        queue.append(1)
        talk.tell()
        client.ask()

    with Talk(client) as talk:
        talk.begin(work)
        client.answers.release()
        talk.wait(lambda: bool(queue))
        assert queue == [1] and talk.on
        client.answers.release()
        talk.finish()
        assert not talk.on and talk.ending


def test_what_a_talk_raises_is_raised_where_it_is_waited_for() -> None:
    def work() -> None:
        raise LookupError("no such row")

    with pytest.raises(LookupError, match="no such row"), Talk(Asked()) as talk:
        talk.begin(work)
        talk.wait(lambda: False)


def test_ctrl_c_ends_the_question_that_is_asked() -> None:
    client, ended = Asked(), list[str]()

    def work() -> None:
        try:
            client.ask()
        finally:
            ended.append("written down")

    with pytest.raises(KeyboardInterrupt), Talk(client) as talk:
        talk.begin(work)
        talk.wait(lambda: bool(time.sleep(0.05)) or client.elsewhere != nullcontext)
        raise KeyboardInterrupt
    assert ended == ["written down"] and not talk.on and client.elsewhere is nullcontext


def test_without_a_talk_jobs_run_as_they_do() -> None:
    talk = Talk(None)
    told = talk.beside(lambda jobs: iter([Outcome(job, "done") for job in jobs]))([Job({}, ["a=1"])])
    assert [outcome.job.overrides for outcome in told] == [["a=1"]]
