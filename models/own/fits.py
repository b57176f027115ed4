"""Whether a network takes the data and answers as their task wants, tried on one batch before it trains."""

from typing import Any

import torch
from torch import Tensor, nn

from models.data.dataset import Dataset
from models.nets.shapes import TOKEN_TASKS
from models.own.apart import Kept, kept
from models.own.network import DESCRIBED, one_line
from models.training.untouched import untouched
from refusal import Refusal

_EXAMPLES = 2


def few(data: Dataset) -> Tensor:
    """Inputs of a batch to try a network on."""
    return data.train.taken(torch.arange(min(_EXAMPLES, len(data.train)), device=data.train.device))[0]


def check(net: nn.Module, data: Dataset) -> Kept:
    """Raise `Refusal` unless `net` answers a batch of the data, in training and in evaluation.

    Nothing of the network and of the random numbers is changed by it. Returns what the network keeps beside
    its parameters and buffers once it has answered.
    """
    inputs = few(data)
    with untouched(net), torch.no_grad():
        for training in (True, False):
            net.train(training)
            _check(_answers(net, inputs), net, inputs, data)
        return kept(net)


def _answers(net: nn.Module, inputs: Tensor) -> Any:
    try:
        return net(inputs)
    except Exception as error:
        raise Refusal(
            f"{_name(net)} cannot take a batch of this data, {_told(inputs)}: {type(error).__name__}: "
            f"{one_line(error)}. Set its arguments to the data's shape, or change the network."
        ) from error


def _check(answers: Any, net: nn.Module, inputs: Tensor, data: Dataset) -> None:
    wanted = (*inputs.shape, data.classes) if data.task in TOKEN_TASKS else (len(inputs), data.classes)
    needs = f"data of the task {data.task} need {_shape(wanted)}, float"
    if not isinstance(answers, Tensor):
        raise Refusal(f"{_name(net)} answers a {type(answers).__name__}, no tensor: {needs}.")
    if tuple(answers.shape) != wanted or not answers.is_floating_point():
        raise Refusal(f"{_name(net)} answers {_told(answers)} to a batch of {_told(inputs)}: {needs}.")


def _name(net: nn.Module) -> str:
    return str(vars(net)[DESCRIBED]["target"])


def _told(tensor: Tensor) -> str:
    return f"{_shape(tuple(tensor.shape))} {str(tensor.dtype).removeprefix('torch.')}"


def _shape(sizes: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, sizes))})"
