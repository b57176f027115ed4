"""Many small cases in one test that tells all which fail: pytest itself takes milliseconds for every test."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any

import pytest


def each(names: str | Sequence[str], cases: Iterable[Any], ids: Any = None) -> Callable[..., Any]:
    """Like `pytest.mark.parametrize`, but one test: it goes through every case and names those that fail.

    Its fixtures are made once for all cases, so a case may leave nothing behind, nor skip itself alone.
    """
    wanted, rows = [names] if isinstance(names, str) else list(names), list(cases)
    told = ids if isinstance(ids, Sequence) else [ids(row) if ids else ascii(row) for row in rows]
    assert rows, "without a case nothing is tested"

    def one(test: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(test)

        @wraps(test)
        def whole(**fixtures: Any) -> None:
            failed = {}
            for name, row in zip(told, rows, strict=True):
                values = [row] if isinstance(names, str) else row
                try:
                    test(**dict(zip(wanted, values, strict=True)), **fixtures)
                except (Exception, pytest.fail.Exception, pytest.skip.Exception) as error:
                    error.add_note(f"in the case {name}")
                    failed[str(name)] = error
            if failed:
                said = f"{len(failed)} of {len(rows)} cases fail: {', '.join(failed)[:2000]}"
                raise BaseExceptionGroup(said, list(failed.values())[:5])

        others = [own.parameters[name] for name in own.parameters if name not in wanted]
        whole.__signature__ = own.replace(parameters=others)  # type: ignore[attr-defined]
        return whole

    return one
