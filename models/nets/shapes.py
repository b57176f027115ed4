"""What a network may be asked for, in one sentence where it does not fit, and columns as others take them."""

from collections.abc import Sequence

from torch import Tensor, nn

from refusal import Refusal

TOKEN_TASKS = ("language", "recall")
"""tasks with one answer per token; their `shape` is (T,) and `classes` is the vocabulary"""


def sizes(shape: Sequence[int]) -> tuple[int, ...]:
    """`shape` as a tuple; raises `Refusal` unless it holds one to three positive sizes."""
    found = tuple(int(size) for size in shape)
    if not 1 <= len(found) <= 3 or min(found) < 1:
        raise Refusal(
            f"data.shape {list(found)} is not the shape of an example: give (T), (C, L) or (C, H, W)."
        )
    return found


def one_answer(name: str, task: str) -> None:
    """Raise `Refusal` when `task` wants an answer per token, which the network called `name` cannot give."""
    if task in TOKEN_TASKS:
        raise Refusal(
            f"model={name} gives one answer per example and the data's task is {task}, one answer per token: "
            "choose model=gpt or model=gru."
        )


def positive(**counts: int) -> None:
    """Raise `Refusal` naming the first of `counts` that is below one."""
    for name, count in counts.items():
        if count < 1:
            raise Refusal(f"model.{name} {count} is too small: set it to 1 or more.")


def probability(**shares: float) -> None:
    """Raise `Refusal` naming the first of `shares` that is outside [0, 1)."""
    for name, share in shares.items():
        if not 0 <= share < 1:
            raise Refusal(f"model.{name} {share} is no share: set it to 0 or more, below 1.")


def flat_columns(net: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """A hook before a forward pass: columns (B, F, 1), as the lab's own networks take them, become (B, F)."""
    return (args[0].flatten(1), *args[1:])


def has_flat_columns(net: nn.Module) -> bool:
    """Whether `flat_columns` is one of the network's hooks."""
    return flat_columns in net._forward_pre_hooks.values()
