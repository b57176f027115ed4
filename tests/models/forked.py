"""Tests in a fork: what they do to their process ends with it, and no test before has left anything in it."""

import functools
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import multiprocessing

_CONTEXT = multiprocessing.get_context("fork")


def in_a_process(job: Callable[[], Any]) -> int:
    """Run `job` in a fork and wait for it: its exit code, which is minus the signal that killed it."""

    def run() -> None:
        # The threads that torch may have had are not there after a fork: an operation would wait for them.
        torch.set_num_threads(1)
        job()

    process = _CONTEXT.Process(target=run)
    with warnings.catch_warnings():
        # Of a process with threads, as those of the test session may have.
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    process.join()
    code = process.exitcode
    process.close()
    assert code is not None
    return code


def raised(job: Callable[[], Any]) -> tuple[str, str, str] | None:
    """What `job` raised in a fork: the type's name, the text, the traceback; None where it raised nothing."""
    answers = _CONTEXT.SimpleQueue()

    def run() -> None:
        try:
            job()
            answers.put(None)
        except BaseException as error:
            answers.put((type(error).__name__, str(error), traceback.format_exc()))

    try:
        assert in_a_process(run) == 0
        return answers.get()
    finally:
        answers.close()


def alone(test: Callable[..., None]) -> Callable[..., None]:
    """A test of what a whole process does: there is no child and no thread but those that it starts."""

    @functools.wraps(test)
    def forked(*arguments: Any, **fixtures: Any) -> None:
        ended = raised(functools.partial(test, *arguments, **fixtures))
        assert ended is None, ended[2]

    return forked
