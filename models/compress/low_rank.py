"""Low-rank factorisation: a linear layer becomes two thin ones where that has fewer weights."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatch
from typing import Any, final

import torch
from torch import Tensor, nn

from models.compress.compression import Compression
from models.compress.context import Context
from models.compress.deltas import refuse_deltas
from models.compress.masks import one_of, share
from models.nets.structured import LowRank
from models.training.evaluate import evaluating
from refusal import Refusal

_BISECTIONS = 30
_MULTIPLE = 8
"""ranks are rounded up to it, for the kernels"""
_WORTH = 0.8
"""of a layer's weights at most: two products for less than a fifth saved would take longer than one"""
WHEN = ("before", "after")


def factors(weight: Tensor, rank: int, root: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """`up` (out, rank) and `down` (rank, in), whose product is nearest to `weight` (out, in) in their rank.

    Nearest in weights; with `root` R (in, in), R R^T being the mean of x x^T over inputs x, nearest in
    outputs: Wang et al. (2024), SVD-LLM, arXiv 2403.07378, section 3.1. The singular values are shared
    equally by both factors, so that both learn alike: Khodak et al. (2021), arXiv 2105.01029, section 3.2.
    """
    exact = weight.detach().double()
    u, s, v = torch.linalg.svd(exact if root is None else exact @ root, full_matrices=False)
    scale = s[:rank].sqrt()
    down = scale[:, None] * v[:rank]
    if root is not None:
        down = torch.linalg.solve_triangular(root, down, upper=False, left=False)
    return (u[:, :rank] * scale).to(weight.dtype), down.to(weight.dtype)


def rank_for_energy(singular: Tensor, energy: float) -> int:
    """The least rank whose squared singular values, largest first, hold a share `energy` of them all."""
    held = singular.double().square().cumsum(0)
    return int((held < energy * held[-1]).sum()) + 1 if energy < 1 else len(singular)


def largest_rank(layer: nn.Linear) -> int:
    """The largest at which two factors have a fifth fewer weights than `layer`; 0 where none does."""
    return int(_WORTH * layer.weight.numel() / (layer.in_features + layer.out_features))


@final
class Factorise(Compression):
    """Factorises linear layers, `before` the training (its first weights) or `after` it, then fine-tunes.

    One of `rank` (of each layer), `energy` (share of the squared singular values that each layer keeps) and
    `share` (of the network's parameters, reached with one energy for all layers) says how far. After the
    training, singular values are those of a layer's outputs on `batches` training batches; 0 takes the
    weights' own. Convolutions, embeddings and layers named by `skip` stay, and so does each layer that two
    factors would not shrink by a fifth; the facts list them. Factors of a layer that is held are held.

    Raises:
        Refusal: not one of the three is given, it is out of range, no layer would shrink, or the network
            reads weights of layers that would have none.
    """

    def __init__(
        self,
        rank: int | None = None,
        energy: float | None = None,
        share: float | None = None,
        when: str = "after",
        batches: int = 8,
        skip: Sequence[str] = (),
        finetune_steps: int = 200,
        lr_factor: float = 0.3,
    ) -> None:
        super().__init__()
        self.rank, self.energy, self.share = _only_one(rank, energy, share)
        self.when, self.batches, self.skip = one_of("when", when, WHEN), batches, tuple(skip)
        self.finetune_steps, self.lr_factor = finetune_steps, lr_factor

    @property
    def trains(self) -> bool:
        """Whether the factors are what is trained."""
        return self.when == "before"

    def check(self, net: nn.Module, context: Context) -> None:
        """Refuse a network in which no layer would shrink, or not far enough."""
        refuse_deltas(net, "low_rank")
        layers = self._layers(net)
        if not any(largest_rank(layer) >= (self.rank or 1) for layer in layers.values()):
            raise Refusal(
                "compress=low_rank finds no linear layer that two factors would shrink: choose a wider "
                "model, a smaller compress.low_rank.rank, or compress=prune50."
            )
        if self.share is not None:
            least = _parameters(net, layers, dict.fromkeys(layers, 1)) / _parameters(net, {}, {})
            if least > self.share:
                raise Refusal(
                    f"compress.low_rank.share {self.share} cannot be reached: rank 1 in every linear layer "
                    f"leaves {least:.2f} of the parameters; set it above that."
                )
        self._try(net, context)

    def before(self, net: nn.Module, context: Context) -> nn.Module:
        """The factorised network, if that is to be trained."""
        return self._factorised(net, {}) if self.when == "before" else net

    def after(self, net: nn.Module, context: Context) -> nn.Module:
        """The factorised network, fine-tuned, unless it was factorised from the start."""
        if self.when == "before":
            return net
        layers = self._layers(net)
        net = self._factorised(net, roots(net, layers, context.calibration(self.batches)))
        return context.finetune(net, self.finetune_steps, self.lr_factor)

    def rebuild(self, net: nn.Module, state: Mapping[str, Tensor], example: Tensor) -> nn.Module:
        """Factors of the saved ranks."""
        for name, layer in _linears(net).items():
            down = state.get(f"{name}.down.weight")
            if down is not None and f"{name}.weight" not in state:
                _replace(net, layer, _thin(layer, len(down)))
        return net

    def _try(self, net: nn.Module, context: Context) -> None:
        """Let factors in every place answer, as a network may reach into a layer for its weight."""
        tried = copy.deepcopy(net)
        for layer in self._layers(tried).values():
            if largest_rank(layer) >= (self.rank or 1):
                _replace(tried, layer, _thin(layer, self.rank or 1))
        try:
            with evaluating(tried), torch.no_grad():
                tried(context.example[:2])
        except Exception as error:  # whatever a network's own code raises
            raise Refusal(
                f"compress=low_rank cannot put factors in place of layers of {type(net).__name__} "
                f"({type(error).__name__}: {str(error)[:160]}): name those that it reaches into in "
                "compress.low_rank.skip, as *.linear1, or choose compress=prune50."
            ) from error

    def _layers(self, net: nn.Module) -> dict[str, nn.Linear]:
        found = _linears(net)
        return {n: layer for n, layer in found.items() if not any(fnmatch(n, p) for p in self.skip)}

    def _factorised(self, net: nn.Module, whitening: Mapping[str, Tensor]) -> nn.Module:
        layers = self._layers(net)
        before, ranks = _parameters(net, {}, {}), self._ranks(net, layers, whitening)
        for name, layer in layers.items():
            if ranks[name] <= largest_rank(layer):
                thin = _thin(layer, ranks[name])
                up, down = factors(layer.weight, ranks[name], whitening.get(name))
                with torch.no_grad():
                    thin.up.weight.copy_(up)
                    thin.down.weight.copy_(down)
                _replace(net, layer, thin)
        shrunk = {name: rank for name, rank in ranks.items() if rank <= largest_rank(layers[name])}
        self.facts |= {
            "parameters": _parameters(net, {}, {}) / before,
            "ranks": {name: f"{rank} of {min(layers[name].weight.shape)}" for name, rank in shrunk.items()},
            "skipped": {
                name: f"rank {rank} would not shrink it by a fifth, {largest_rank(layers[name])} would"
                for name, rank in ranks.items()
                if name not in shrunk
            },
        }
        return net

    def _ranks(
        self, net: nn.Module, layers: Mapping[str, nn.Linear], whitening: Mapping[str, Tensor]
    ) -> dict[str, int]:
        if self.rank is not None:
            return {name: min(self.rank, *layer.weight.shape) for name, layer in layers.items()}
        spectra = {name: _spectrum(layer, whitening.get(name)) for name, layer in layers.items()}
        if self.energy is not None:
            return _of_energy(spectra, self.energy)
        assert self.share is not None  # `_only_one`
        most, low, high = self.share * _parameters(net, {}, {}), 0.0, 1.0
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            fits = _parameters(net, layers, _of_energy(spectra, middle)) <= most
            low, high = (middle, high) if fits else (low, middle)
        return _of_energy(spectra, low)


def _only_one(
    rank: int | None, energy: float | None, part: float | None
) -> tuple[int | None, float | None, float | None]:
    given = [value for value in (rank, energy, part) if value is not None]
    if len(given) != 1:
        raise Refusal(
            f"compress=low_rank needs one of rank, energy and share, and has {len(given)}: set the others "
            "to null."
        )
    if rank is not None and rank < 1:
        raise Refusal(f"compress: rank {rank} is too small: set it to 1 or more.")
    return rank, energy and share("energy", energy), part and share("share", part)


def _of_energy(spectra: Mapping[str, Tensor], energy: float) -> dict[str, int]:
    ranks = {name: rank_for_energy(singular, energy) for name, singular in spectra.items()}
    return {
        name: min(-(-rank // _MULTIPLE) * _MULTIPLE if rank > _MULTIPLE else rank, len(spectra[name]))
        for name, rank in ranks.items()
    }


def _spectrum(layer: nn.Linear, root: Tensor | None) -> Tensor:
    weight = layer.weight.detach().double()
    return torch.linalg.svdvals(weight if root is None else weight @ root)


def _parameters(net: nn.Module, layers: Mapping[str, nn.Linear], ranks: Mapping[str, int]) -> float:
    """How many `net` has when `layers` get `ranks`, those that would not shrink left as they are."""
    total = float(sum(weight.numel() for weight in net.parameters()))
    for name, layer in layers.items():
        if ranks[name] <= largest_rank(layer):
            total -= layer.weight.numel() - ranks[name] * (layer.in_features + layer.out_features)
    return total


def _linears(net: nn.Module) -> dict[str, nn.Linear]:
    """Each once, and none that is a factor already, or of a kind that may compute something else."""
    inside = {
        id(part) for module in net.modules() if isinstance(module, LowRank) for part in module.children()
    }
    return {
        name: module
        for name, module in net.named_modules()
        if type(module) is nn.Linear and id(module) not in inside
    }


def _thin(layer: nn.Linear, rank: int) -> LowRank:
    """Two factors of the sizes, the bias and the place of `layer`; their weights are yet to be set."""
    thin = LowRank(layer.in_features, layer.out_features, rank, layer.bias is not None)
    thin.to(device=layer.weight.device, dtype=layer.weight.dtype)
    thin.requires_grad_(layer.weight.requires_grad)
    if layer.bias is not None:
        thin.up.bias = layer.bias
    return thin


def _replace(net: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Put `new` wherever `old` stands, which is more than one place where layers are shared."""
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if child is old:
                setattr(parent, name, new)


_RIDGE = 1e-4
"""of the mean variance, added to each, since inputs of a layer often leave directions empty"""


def roots(net: nn.Module, layers: Mapping[str, nn.Linear], batches: Iterable[Tensor]) -> dict[str, Tensor]:
    """Lower Cholesky factors (in, in), float64, of the mean of x x^T over each layer's inputs x on `batches`.

    A layer whose inputs are all zero, or that is not called, has none; no batches, no factors.
    """
    sums: dict[str, Tensor] = {}
    hooks = [layer.register_forward_pre_hook(_adder(sums, name)) for name, layer in layers.items()]
    try:
        with evaluating(net), torch.inference_mode():
            for inputs in batches:
                net(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: _root(total) for name, total in sums.items() if total.diagonal().sum() > 0}


def _adder(sums: dict[str, Tensor], name: str) -> Any:
    def add(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        rows = inputs[0].flatten(0, -2).float()
        sums[name] = sums.get(name, 0.0) + (rows.T @ rows).double()

    return add


def _root(total: Tensor) -> Tensor:
    ridge = _RIDGE * total.diagonal().mean()
    return torch.linalg.cholesky(
        total + ridge * torch.eye(len(total), dtype=total.dtype, device=total.device)
    )
