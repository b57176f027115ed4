"""Profiles of hardware: the ceilings of a `budget/` option, held against a config before anything is run.

Agents' proposals and people's commands are asked alike. A profile says what fits a machine that need not be
this one, so a run for a T4 can be planned on a laptop.
"""

from collections.abc import Iterator, Mapping
from typing import Any, final

from pydantic import Field, ValidationError

from refusal import Refusal
from research.space.memory_estimate import memory, tokens
from research.types import Record

_GIB = 2**30


@final
class Ceilings(Record):
    """What one kind of machine takes; None lifts a ceiling."""

    profile: str
    """the option of budget/ that it belongs to"""
    batch_size: int | None = Field(default=None, gt=0)
    length: int | None = Field(default=None, gt=0)
    """positions of one example that the network sees"""
    experts: int | None = Field(default=None, gt=0)
    memory_bytes: float | None = Field(default=None, gt=0)
    margin: float = Field(default=0.2, ge=0, lt=1)
    """share of the memory that is kept free: for the framework, and because the need is an estimate"""
    precisions: tuple[str, ...] | None = None


def complaints(config: Mapping[str, Any]) -> list[str]:
    """Why a resolved config does not fit the profile of its budget; empty when it does or has none.

    Raises `Refusal` for ceilings that make no sense.
    """
    budget = config.get("budget")
    given = budget.get("ceilings") if isinstance(budget, Mapping) else None
    if given is None:
        return []
    try:
        ceilings = Ceilings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise Refusal(f"budget.ceilings.{where} is not usable: {first['msg']}.") from None
    return list(_complaints(config, ceilings))


def refuse(config: Mapping[str, Any]) -> None:
    """Raise `Refusal` with the first complaint."""
    for complaint in complaints(config):
        raise Refusal(complaint)


def _complaints(config: Mapping[str, Any], top: Ceilings) -> Iterator[str]:
    name = f"budget={top.profile}"
    batch, experts = config["data"]["batch_size"], config["model"].get("experts")
    if top.batch_size is not None and batch > top.batch_size:
        yield f"{name} allows data.batch_size up to {top.batch_size}: {batch} is more, so lower it."
    if top.length is not None and tokens(config) > top.length:
        yield (
            f"{name} allows sequences of up to {top.length} positions: data.shape "
            f"{list(config['data']['shape'])} gives the network {tokens(config)}, so choose shorter data."
        )
    if top.experts is not None and isinstance(experts, int) and experts > top.experts:
        yield f"{name} allows model.experts up to {top.experts}: {experts} is more, so lower it."
    precision = (config.get("trainer") or {}).get("precision")
    if top.precisions is not None and precision not in (*top.precisions, None):
        said = " or ".join(top.precisions)
        yield f"{name} allows trainer.precision={said}: {precision} is not for this hardware, so change it."
    yield from _memory(config, top, name)


def _memory(config: Mapping[str, Any], top: Ceilings, name: str) -> Iterator[str]:
    if top.memory_bytes is None:
        return
    need, allowed = memory(config), top.memory_bytes * (1 - top.margin)
    if need.total > allowed:
        parts = ", ".join(f"{name} {_gib(value)}" for name, value in need._asdict().items())
        batch = "data.batch_size, or cut it by trainer.accumulate_grad_batches"
        yield (
            f"{name} allows {_gib(allowed)} of memory ({_gib(top.memory_bytes)} less "
            f"{100 * top.margin:g} % to spare): this would take about {_gib(need.total)} ({parts}), "
            f"so lower {batch if need.activations > need.total / 2 else 'model.width or model.depth'}."
        )


def _gib(size: float) -> str:
    return f"{size / _GIB:.3g} GiB"
