"""A graph whose linear layers and convolutions are int8 (PyTorch 2 export quantization, x86 inductor)."""

import copy
import platform
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import final

import torch
from torch import Tensor, nn

from models.compress.exported import export, one_mode, quiet, unlogged
from models.compress.processor import X86, largest_activation
from refusal import Refusal

_SCALES, _ZEROS, _LARGEST = "activation_scale", "activation_zero_point", "activation_largest"
_FULL = 255


def x86(name: str, device: str) -> None:
    """Raise `Refusal` elsewhere than on an x86 CPU, for whose kernels these graphs are made."""
    if torch.device(device).type != "cpu" or platform.machine() not in X86:
        raise Refusal(
            f"{name} computes with the int8 kernels of x86 CPUs; this is {platform.machine()} on {device}: "
            "choose compress=[int8_weights] or compress=[bf16], or trainer=cpu on such a machine."
        )


def quantized(
    net: nn.Module,
    inputs: Iterable[Tensor],
    name: str,
    *,
    dynamic: bool,
    largest: int | None = None,
    kept: frozenset[str] = frozenset(),
) -> torch.fx.GraphModule:
    """`net` with int8 weights (symmetric, a scale per output) and 8-bit activations (a scale per tensor).

    `inputs` are batches (B, *shape) that static scales are taken from; with `dynamic`, each batch gets its
    own, for linear layers only. The weights keep their names, `NAME_scale` beside them; `net` keeps its own.
    Linear layers and the convolutions of `convolves`; the rest stays in 32 bits. Slow until compiled.
    Activations lie between 0 and `largest`, which is this processor's own unless it is given. The layers of
    the names `kept` stay in 32 bits.

    Raises:
        Refusal: the network has no one graph, or nothing in it can be int8.
    """
    batches = iter(inputs)
    first = next(batches)
    graph = _told(export(_widened(net), first, name), kept)
    try:
        largest = largest or largest_activation()
        graph = _rounded(graph, chain([first], batches), dynamic=dynamic, reduced=largest < _FULL)
    except Exception as error:  # whatever torchao's passes and observers stumble over
        raise Refusal(
            f"{name} cannot round {type(net).__name__} ({type(error).__name__}: {str(error)[:120]}): choose "
            "compress=[bf16] or compress=[int8_weights]."
        ) from error
    if not _fold(graph):
        raise Refusal(
            f"{name} finds no linear layer and no convolution in this network: choose compress=[bf16]."
        )
    _keep_activations(graph, largest)
    return one_mode(graph).requires_grad_(False)


def _rounded(
    graph: torch.fx.GraphModule, batches: Iterable[Tensor], *, dynamic: bool, reduced: bool
) -> torch.fx.GraphModule:
    """`graph` with torchao's roundings of weights, not yet done, and of activations."""
    with unlogged(), quiet():
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
        from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86_inductor

        default = x86_inductor.get_default_x86_inductor_quantization_config
        quantizer = x86_inductor.X86InductorQuantizer()
        quantizer.set_global(default(is_dynamic=dynamic, reduce_range=reduced))
        # Else products of two activations are rounded too: masks, gates and rotations, which gain nothing.
        quantizer.set_function_type_qconfig(torch.mul, None)
        prepared = prepare_pt2e(graph, quantizer)
        with torch.no_grad():
            for batch in batches:
                with torch.autocast(batch.device.type, enabled=False):
                    prepared(batch)
        return convert_pt2e(prepared, fold_quantize=False)


def with_activations(graph: torch.fx.GraphModule, state: Mapping[str, Tensor]) -> torch.fx.GraphModule:
    """`graph` with the activation scales of a saved one; they are constants of its code, not weights."""
    if _SCALES in state:
        scales, zeros = state[_SCALES].tolist(), state[_ZEROS].tolist()
        for node, scale, zero in zip(_activations(graph), scales, zeros, strict=True):
            node.args = (node.args[0], scale, zero, *node.args[3:])
        graph.recompile()
    return graph


def largest_in(state: Mapping[str, Tensor]) -> int:
    """Of the activations of a saved graph: of the processor that it was made for, whatever this one is."""
    return int(state.get(_LARGEST, _FULL))


def convolves(module: nn.Module) -> bool:
    """Whether a convolution becomes int8: in one or two dimensions, padded by zeros, of several channels.

    One of a single channel holds too few weights to matter, and inductor plans its int8 result by rows where
    the kernel gives it by channels (torch 2.13, batches of any size).
    """
    return (
        isinstance(module, nn.Conv1d | nn.Conv2d)
        and type(module) in (nn.Conv1d, nn.Conv2d, _Wide)
        and module.in_channels > 1
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
    )


def layers(graph: torch.fx.GraphModule) -> list[str]:
    """Names of the int8 weights."""
    return [name for name, value in graph.state_dict().items() if value.dtype == torch.int8]


@final
class _Wide(nn.Conv2d):
    """A convolution over signals as one over images of one row: (B, C, L) -> (B, width, L / stride)."""

    def __init__(self, narrow: nn.Conv1d) -> None:
        assert not isinstance(narrow.padding, str)  # `convolves`
        super().__init__(
            narrow.in_channels,
            narrow.out_channels,
            (1, narrow.kernel_size[0]),
            (1, narrow.stride[0]),
            (0, narrow.padding[0]),
            (1, narrow.dilation[0]),
            narrow.groups,
            bias=False,
        )
        self.weight = nn.Parameter(narrow.weight.detach().unsqueeze(2), requires_grad=False)
        self.bias = narrow.bias

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.unsqueeze(2)).squeeze(2)


def _widened(net: nn.Module) -> nn.Module:
    """A copy whose convolutions over signals are ones over images, for which alone there are int8 kernels."""
    net = copy.deepcopy(net)
    made: dict[nn.Module, _Wide] = {}
    for name, module in list(net.named_modules(remove_duplicate=False)):
        if type(module) is nn.Conv1d and convolves(module):
            parent, _, last = name.rpartition(".")
            wide = made[module] = made.get(module) or _Wide(module)
            setattr(net.get_submodule(parent), last, wide)
    return net


def _told(graph: torch.fx.GraphModule, kept: frozenset[str]) -> torch.fx.GraphModule:
    """Say what the quantizer looks for: each layer's own reading of a weight, the kind of widened layers."""
    products = (torch.ops.aten.conv2d.default, torch.ops.aten.linear.default)
    for node in list(graph.graph.nodes):
        for user in list(node.users)[1:] if node.op == "get_attr" else []:
            with graph.graph.inserting_before(user):
                user.replace_input_with(node, graph.graph.node_copy(node))
        if node.target in products:
            stack = dict(node.meta["nn_module_stack"])
            kind = stack[last := next(reversed(stack))][1]
            # A path of its own: a layer that is used twice in a row would be taken for one use.
            stack[last] = (node.name, _kind(node, kind, kept))
            node.meta["nn_module_stack"] = stack
    return graph


def _kind(node: torch.fx.Node, kind: str, kept: frozenset[str]) -> str:
    """What the quantizer is told that the module of a product is: none that it knows where none is int8."""
    if str(_read(node, 1).target).removesuffix(".weight") in kept:
        return "kept"
    if node.target is torch.ops.aten.conv2d.default and _read(node).meta["val"].shape[1] == 1:
        return "one_channel"
    return "torch.nn.modules.conv.Conv2d" if kind.endswith("._Wide") else kind


def _read(node: torch.fx.Node, place: int = 0) -> torch.fx.Node:
    """What a node reads in one place of its arguments."""
    given = node.args[place]
    assert isinstance(given, torch.fx.Node)
    return given


def _fold(graph: torch.fx.GraphModule) -> int:
    """Put int8 weights in place of 32-bit ones; returns how many."""
    per_channel = torch.ops.quantized_decomposed.quantize_per_channel.default
    found = [node for node in graph.graph.nodes if node.target is per_channel]
    weights = [_get(graph, str(_read(node).target)).detach() for node in found]
    names = [_name(graph, node) for node in found]
    done: dict[int, Tensor] = {}
    for node, weight, name in zip(found, weights, names, strict=True):
        scale, zeros = (_get(graph, str(_read(node, place).target)) for place in (1, 2))
        # Layers that share a weight share its int8 form.
        rounded = done.setdefault(weight.data_ptr(), per_channel(weight, scale, zeros, *node.args[3:]))
        _settle(graph, node, name, rounded, scale)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    _drop_unused(graph)
    return len(found)


def _name(graph: torch.fx.GraphModule, node: torch.fx.Node) -> str:
    """The weight's own, unless something else than quantized layers reads it too."""
    name = str(_read(node).target)
    readers = [other for other in graph.graph.nodes if other.op == "get_attr" and other.target == name]
    elsewhere = any(user.target is not node.target for reader in readers for user in reader.users)
    return f"{name}_int8" if elsewhere else name


def _settle(
    graph: torch.fx.GraphModule, node: torch.fx.Node, name: str, rounded: Tensor, scale: Tensor
) -> None:
    """Replace a weight's quantization by its result, named `name`, with its scale beside it."""
    scales, zeros = _read(node, 1), str(_read(node, 2).target)
    _set(graph, name, rounded)
    _set(graph, f"{name}_scale", scale)
    # Symmetric: all zero, so not worth a byte on disk.
    _set(graph, zeros, _get(graph, zeros), persistent=False)
    scales.target = f"{name}_scale"
    with graph.graph.inserting_before(node):
        node.replace_all_uses_with(graph.graph.get_attr(name))
    graph.graph.erase_node(node)


def _keep_activations(graph: torch.fx.GraphModule, largest: int) -> None:
    """Keep what are numbers in the code among the saved tensors: activations' range and static scales."""
    if largest < _FULL:
        graph.register_buffer(_LARGEST, torch.tensor(largest, dtype=torch.uint8))
    found = _activations(graph)
    if found:
        graph.register_buffer(_SCALES, torch.tensor([node.args[1] for node in found]))
        graph.register_buffer(_ZEROS, torch.tensor([node.args[2] for node in found], dtype=torch.int16))


def _activations(graph: torch.fx.GraphModule) -> list[torch.fx.Node]:
    ops = torch.ops.quantized_decomposed
    targets = (ops.quantize_per_tensor.default, ops.dequantize_per_tensor.default)
    return [node for node in graph.graph.nodes if node.target in targets]


def _get(graph: torch.fx.GraphModule, name: str) -> Tensor:
    owner, last = _owner(graph, name)
    value: Tensor = getattr(owner, last)
    return value


def _set(graph: torch.fx.GraphModule, name: str, value: Tensor, *, persistent: bool = True) -> None:
    owner, last = _owner(graph, name)
    if hasattr(owner, last):
        delattr(owner, last)
    owner.register_buffer(last, value, persistent=persistent)


def _owner(graph: torch.fx.GraphModule, name: str) -> tuple[nn.Module, str]:
    parent, _, last = name.rpartition(".")
    return graph.get_submodule(parent), last


def _drop_unused(graph: torch.fx.GraphModule) -> None:
    """Forget what no operation reads: 32-bit weights, scales under their first names."""
    read = {node.target for node in graph.graph.nodes if node.op == "get_attr"}
    held = [*graph.named_parameters(remove_duplicate=False), *graph.named_buffers(remove_duplicate=False)]
    for name, _ in held:
        if name not in read:
            owner, last = _owner(graph, name)
            delattr(owner, last)
