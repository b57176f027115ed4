"""What a parameter does in its network, for optimizers that treat hidden matrices by themselves."""

from torch import nn
from torch.nn.modules.conv import _ConvNd

MATRIX, FILTERS, STACK, REST = "matrix", "filters", "stack", "rest"
"""(out, in); (out, in, ...) of a convolution; (..., in, out) of several matrices at once; all others"""
ENDS = {"embedding", "embeddings", "positions", "head", "readout", "classifier", "router"}
"""names of the modules and parameters between which a network is hidden; a router reads out its experts"""


def roles(net: nn.Module) -> dict[nn.Parameter, str]:
    """The role of each parameter, in the network's order.

    Of the rest are vectors, embeddings (tied ones too), learned positions, read-outs, and convolutions in
    groups, whose filters share no inputs. A read-out is known by its name; a network that neither names one
    nor embeds anything reads out with its last linear layer.

    Source: Jordan et al. 2024, kellerjordan.github.io/posts/muon, who leave the first and last layers of a
    language model to AdamW and flatten convolutions after their first dimension.
    """
    found: dict[nn.Parameter, str] = {}
    for path, module in net.named_modules():
        # A weight that is computed anew in training is kept below the layer that it is of.
        layer = net.get_submodule(path.partition("parametrizations")[0].rstrip("."))
        for name, parameter in module.named_parameters(path, recurse=False):
            role = _role(layer, name, parameter)
            # A tied parameter is found twice, and an end of the network anywhere is one everywhere.
            found[parameter] = REST if found.get(parameter) == REST else role
    last = _unnamed_readout(net)
    return found if last is None else found | {last: REST}


def _role(module: nn.Module, name: str, parameter: nn.Parameter) -> str:
    if parameter.ndim < 2 or isinstance(module, nn.Embedding) or ENDS & set(name.split(".")):
        return REST
    if isinstance(module, _ConvNd):
        return FILTERS if module.groups == 1 else REST
    return MATRIX if parameter.ndim == 2 else STACK


def _unnamed_readout(net: nn.Module) -> nn.Parameter | None:
    names = {part for name, _ in net.named_parameters() for part in name.split(".")}
    if names & {"head", "readout", "classifier"} or any(isinstance(m, nn.Embedding) for m in net.modules()):
        return None
    linear = [module for module in net.modules() if isinstance(module, nn.Linear)]
    # By its shape: a layer that rounds its weight in training keeps it under another name.
    return next((weight for weight in linear[-1].parameters() if weight.ndim > 1), None) if linear else None
