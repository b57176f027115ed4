"""The proposers that the config names, each given what its constructor asks for by name."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from refusal import Refusal
from research.propose.proposer import Proposer

Make = Callable[..., Proposer]


def made(sources: Mapping[str, Any], at_hand: Mapping[str, Any]) -> list[Proposer]:
    """The proposers of `sources` that can work with what is at hand; None in it is what there is none of.

    Raises `Refusal` for a constructor that asks for what nobody has.
    """
    return [make(**wanted) for make, wanted in _makers(sources, at_hand)]


def checked(sources: Mapping[str, Any], at_hand: Mapping[str, Any]) -> None:
    """Raise what `made` would of sources that cannot be found or asked; nobody is made."""
    _makers(sources, at_hand)


def _makers(sources: Mapping[str, Any], at_hand: Mapping[str, Any]) -> list[tuple[Make, dict[str, Any]]]:
    from hydra.utils import instantiate

    makers: list[Make] = [instantiate(source) for source in sources.values()]
    return [(make, wanted) for make in makers if (wanted := _wanted(make, at_hand)) is not None]


def _wanted(make: Make, at_hand: Mapping[str, Any]) -> dict[str, Any] | None:
    """The arguments that a constructor names; None when one of them is not at hand, as without a model."""
    names = [
        name
        for name, parameter in inspect.signature(make).parameters.items()
        if parameter.default is inspect.Parameter.empty
    ]
    unknown = [name for name in names if name not in at_hand]
    if unknown:
        raise Refusal(f"A proposer asks for {unknown[0]}: it can have {', '.join(at_hand)}.")
    return None if any(at_hand[name] is None for name in names) else {name: at_hand[name] for name in names}
