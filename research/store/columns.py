"""The types of columns by which SQLite, PostgreSQL and MariaDB agree on what they were given."""

import json
import math
import re
from typing import Any, final

import sqlalchemy as sa
from pydantic_core import from_json

# PostgreSQL refuses NUL in text, and neither database takes half of a surrogate pair.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_MARK = "$float"
_SERVERS = ("mysql", "mariadb")
_LARGEST = 1.7976931348623157e308
"""what stands for infinity where a column takes none"""


def _text(dialect: sa.Dialect, length: int | None = None) -> Any:
    """Text of any length; MariaDB tells upper from lower case and accents only where it is told to."""
    if dialect.name not in _SERVERS:
        return dialect.type_descriptor(sa.Text())
    from sqlalchemy.dialects import mysql

    own = (
        mysql.VARCHAR(length, collation="utf8mb4_bin") if length else mysql.LONGTEXT(collation="utf8mb4_bin")
    )
    return dialect.type_descriptor(own)


@final
class Words(sa.types.TypeDecorator[str]):
    """Text from anywhere; what a database cannot hold (NUL, half a surrogate pair) becomes U+FFFD.

    With a length where it is part of a key: MariaDB's have 3,072 bytes, of which a character takes four.
    """

    impl = sa.Text
    cache_ok = True

    def __init__(self, key_length: int | None = None) -> None:
        super().__init__()
        self.key_length = key_length

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        """The column's type in this database."""
        return _text(dialect, self.key_length)

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """Replace the characters that one of the databases refuses."""
        return None if value is None else _UNSTORABLE.sub("\ufffd", value)


@final
class Number(sa.types.TypeDecorator[float]):
    """A float; NaN is stored as NULL, which is what SQLite does with it anyway.

    MariaDB has no infinity: there the largest number stands for it.
    """

    impl = sa.Double
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> float | None:
        """Any number as a float, NaN and None as NULL."""
        number = math.nan if value is None else float(value)
        if math.isinf(number) and dialect.name in _SERVERS:
            return math.copysign(_LARGEST, number)
        return None if math.isnan(number) else number

    def result_processor(self, dialect: sa.Dialect, coltype: Any) -> Any:
        """Back to the number that was given; None where there is nothing to do to millions of figures."""
        return _finite_again if dialect.name in _SERVERS else None


@final
class Json(sa.types.TypeDecorator[Any]):
    """JSON in ASCII text, the same bytes in all databases; NaN and infinities survive as marked strings."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        """The column's type in this database."""
        return _text(dialect)

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str:
        """Encode; numpy and torch scalars and arrays become numbers and lists."""
        return json.dumps(marked(value), allow_nan=False)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        """Decode what `process_bind_param` wrote."""
        if value is None:
            return None
        # A call for each mapping of a config costs as much as all the rest.
        return json.loads(value, object_hook=_unmark) if _MARK in value else _plain(value)


def _plain(value: str) -> Any:
    """A JSON text without marks, in half the time of Python's own reader."""
    try:
        return from_json(value, cache_strings="keys")
    except ValueError:  # half of a surrogate pair, or brackets 200 deep: the standard reader takes both
        return json.loads(value)


def _finite_again(value: float | None) -> float | None:
    return math.copysign(math.inf, value) if value is not None and abs(value) == _LARGEST else value


def marked(value: Any) -> Any:
    """Plain values for JSON: infinities and NaN as marked strings, arrays as lists."""
    if isinstance(value, dict):
        return {str(key): marked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [marked(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {_MARK: str(value)}
    return marked(value.tolist()) if hasattr(value, "tolist") else value


def _unmark(value: dict[str, Any]) -> Any:
    marked = value.get(_MARK) if len(value) == 1 else None
    return float(marked) if marked in ("nan", "inf", "-inf") else value
