"""A feed-forward layer of several experts, of which each token uses a few."""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from models.nets import routing
from models.nets.balancing import Load, Pool, SelectionBias, balance_loss, z_loss
from models.nets.block import perceptron
from models.nets.shapes import positive
from refusal import Refusal

MOST_EXPERTS = 16
"""experts of a layer, shared ones included"""


@final
@dataclass(frozen=True)
class Routing:
    """How tokens and experts find each other, and what keeps the experts equally busy.

    Raises `Refusal` for more experts than 16 with the shared ones, for more chosen than there are, and for a
    rule and a remedy that do not go together.
    """

    experts: int = 8
    chosen: int = 1
    """experts of a token (routing=token), or of a token in the mean (routing=expert)"""
    shared: int = 0
    """experts that every token uses besides (DeepSeekMoE, arXiv 2401.06066)"""
    routing: str = "token"
    """token: a token chooses its experts; expert: an expert chooses its tokens, causally in evaluation"""
    capacity: float | None = None
    """most tokens of a sequence that an expert takes, in equal shares; null takes all, and drops none"""
    score: str = "softmax"
    """softmax over the experts, or sigmoid of each one's logit"""
    balance_loss: float = 0.01
    z_loss: float = 0.0
    bias_rate: float = 0.0
    """step of the loss-free bias; 0 does without"""

    def __post_init__(self) -> None:
        positive(experts=self.experts, chosen=self.chosen)
        self._check_counts()
        self._check_words()
        for name in ("balance_loss", "z_loss", "bias_rate"):
            if not 0 <= getattr(self, name) < math.inf:
                raise Refusal(f"model.{name} {getattr(self, name)} is no weight: set it to 0 or more.")
        self._check_expert_choice()

    def _check_counts(self) -> None:
        if self.shared < 0 or self.experts + self.shared > MOST_EXPERTS:
            raise Refusal(
                f"model.experts {self.experts} with model.shared {self.shared} is not between 1 and "
                f"{MOST_EXPERTS} together: set model.experts to {MOST_EXPERTS - max(0, self.shared)} or less "
                "and model.shared to 0 or more."
            )
        if self.chosen > self.experts:
            raise Refusal(
                f"model.chosen {self.chosen} is more than model.experts {self.experts}: set it to "
                f"{self.experts} or less."
            )

    def _check_words(self) -> None:
        for name, known in (("routing", ("token", "expert")), ("score", ("softmax", "sigmoid"))):
            if getattr(self, name) not in known:
                raise Refusal(
                    f"model.{name} '{getattr(self, name)}' is unknown: choose {' or '.join(known)}."
                )
        if self.capacity is not None and not 0 < self.capacity <= MOST_EXPERTS:
            raise Refusal(
                f"model.capacity {self.capacity} is no factor: set it above 0, for example 1.25, or to null."
            )

    def _check_expert_choice(self) -> None:
        idle = self.capacity is not None or self.balance_loss or self.bias_rate
        if self.routing == "expert" and idle:
            raise Refusal(
                "model.routing=expert fills every expert equally by itself: set model.capacity=null, "
                "model.balance_loss=0 and model.bias_rate=0."
            )

    def take(self, ranking: Tensor, training: bool) -> Tensor:
        """(experts, B, T) bool: who takes what, before any capacity."""
        if self.routing == "token":
            return routing.token_choice(ranking, self.chosen)
        rule = routing.expert_choice if training else routing.causal_expert_choice
        return rule(ranking, self.chosen)


@final
class MixtureOfExperts(nn.Module):
    """A router and perceptrons of `hidden` units: (B, T, width) -> (B, T, width).

    A token's output is the sum of its experts' outputs times their scores: with one chosen expert the score
    itself (Switch, arXiv 2101.03961), with several the scores over their sum (GShard, arXiv 2006.16668), with
    expert choice the score itself. A token that no expert takes gives 0 and passes by the residual. Tokens
    are sorted by expert and each expert is called once, with its own: the arithmetic done is the active one.

    Under `torch.func` transforms and `torch.export`, whose shapes may not depend on data, every expert sees
    every token, which gives the same answer at `experts / chosen` times the cost and counts no load.
    """

    def __init__(self, width: int, hidden: int, activation: str, options: Routing, depth: int = 1) -> None:
        """`depth` is of the network, for the scale of the weights that write to the stream."""
        super().__init__()
        self.options = options
        self.router = nn.Linear(width, options.experts, bias=False)
        # Fedus et al. (2021), table 3: a tenth of the usual scale starts experts as near equals.
        nn.init.normal_(self.router.weight, std=math.sqrt(0.1 / width))
        made = [_expert(width, hidden, activation, depth) for _ in range(options.experts + options.shared)]
        self.experts = nn.ModuleList(made[: options.experts])
        self.shared = nn.ModuleList(made[options.experts :])
        self.balance = SelectionBias(options.experts, options.bias_rate) if options.bias_rate else None
        self.load = Load(options.experts)
        self.pool: Pool | None = None
        """choices of the batch that is on its way in pieces"""
        self._loss: Tensor | None = None

    def train(self, mode: bool = True) -> "MixtureOfExperts":
        """Switch the mode; evaluation mode starts a new count of the load."""
        if not mode:
            self.load.clear()
            self._loss = None
        return super().train(mode)

    def take_loss(self) -> Tensor | None:
        """The weighted balancing losses of the latest forward pass in training mode; given once.

        Kept no longer, as a network that holds a part of a graph cannot be copied.
        """
        loss, self._loss = self._loss, None
        return loss

    def forget(self) -> None:
        """Drop what is kept of forward passes since the last step of the optimizer."""
        self._loss = None
        if self.balance is not None:
            self.balance.forget()

    def forward(self, x: Tensor) -> Tensor:
        """The stream's increment."""
        logits, scores = self._scores(x)
        ranking = scores.detach() if self.balance is None else self.balance(scores)
        asked = self.options.take(ranking, self.training)
        taken, gates = asked, self._gates(scores, asked)
        if self.options.capacity is not None:
            taken = routing.within_capacity(asked, self.options.capacity, self.options.chosen)
        if self.training:
            self._balance(logits, scores, asked)
        tokens = x.flatten(0, 1)
        if _static():
            mixed = self._all(tokens, (gates * taken).flatten(1))
        else:
            mixed = self._sorted(tokens, gates.flatten(1), taken.flatten(1), asked)
        for expert in self.shared:
            mixed = mixed + expert(tokens)
        return mixed.view_as(x)

    def _scores(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and scores (experts, B, T), in 32 bits under any autocast (Fedus et al. 2021, table 2)."""
        with torch.autocast(x.device.type, enabled=False):
            logits = linear(x.float(), self.router.weight.float()).movedim(-1, 0).contiguous()
            return logits, logits.softmax(0) if self.options.score == "softmax" else logits.sigmoid()

    def _gates(self, scores: Tensor, asked: Tensor) -> Tensor:
        if self.options.chosen == 1 or self.options.routing == "expert":
            return scores
        return scores / (scores * asked).sum(0)

    def _balance(self, logits: Tensor, scores: Tensor, asked: Tensor) -> None:
        if self.pool is not None and self.pool.open:
            self.pool.add(asked)
            return
        loss = self._losses(logits, scores, asked)
        # A checkpointed block does the same arithmetic again, but its first loss is the one in the graph.
        self._loss = self._loss if _again() else loss

    def _losses(self, logits: Tensor, scores: Tensor, asked: Tensor) -> Tensor | None:
        balance, z = self.options.balance_loss, self.options.z_loss
        whole = None if self.pool is None else self.pool.choices
        terms = [balance * balance_loss(scores, asked, whole)] if balance else []
        terms += [z * z_loss(logits)] if z else []
        return torch.stack(terms).sum() if terms else None

    def _sorted(self, tokens: Tensor, gates: Tensor, taken: Tensor, asked: Tensor) -> Tensor:
        """(N, width) from each expert's own tokens; gates and taken are (experts, N)."""
        places = taken.flatten().nonzero().squeeze(1)  # one per choice, sorted by expert
        rows = places % len(tokens)
        sizes = taken.sum(1).tolist()
        self._count(sizes, taken, asked)
        parts = zip(self.experts, tokens.index_select(0, rows).split(sizes), strict=True)
        # For a gradient experts without tokens are called too, so that each weight has one, if of zeros.
        called = [expert(part) for expert, part in parts if len(part) or torch.is_grad_enabled()]
        if not called:
            return torch.zeros_like(tokens)
        done = torch.cat(called)
        weights = gates.flatten().index_select(0, places).unsqueeze(1).to(done.dtype)
        return done.new_zeros(tokens.shape).index_add(0, rows, done * weights)

    def _all(self, tokens: Tensor, gates: Tensor) -> Tensor:
        outputs = [
            gate.unsqueeze(1) * expert(tokens) for gate, expert in zip(gates, self.experts, strict=True)
        ]
        return torch.stack(outputs).sum(0).to(outputs[0].dtype)

    def _count(self, sizes: list[int], taken: Tensor, asked: Tensor) -> None:
        load = sizes if self.options.capacity is None else asked.flatten(1).sum(1).tolist()
        if not self.training:
            idle = 0 if self._serves_all else int((~taken.any(0)).sum())
            self.load.add(load, tokens=taken.shape[1], served=sum(sizes), idle=idle)
        elif self.balance is not None and not _again() and not (self.pool and self.pool.open):
            self.balance.count(load, self.router.weight)

    @property
    def expert_parameters(self) -> int:
        """Weights of one expert."""
        return sum(weight.numel() for weight in self.experts[0].parameters())

    @property
    def _serves_all(self) -> bool:
        return self.options.routing == "token" and self.options.capacity is None


def _expert(width: int, hidden: int, activation: str, depth: int) -> nn.Sequential:
    """A perceptron as a dense block has it, with the same initial weights (GPT-2's)."""
    made = perceptron(width, hidden, activation)
    nn.init.normal_(made[0].get_parameter("weight"), std=1 / math.sqrt(width))
    nn.init.normal_(made[2].get_parameter("weight"), std=1 / math.sqrt(2 * depth * hidden))
    return made


def _again() -> bool:
    """Whether this forward pass repeats an earlier one for its gradient, as in a checkpointed block."""
    return torch._C._current_graph_task_id() != -1


def _static() -> bool:
    """Whether shapes may not depend on the data."""
    transformed = torch._C._functorch.peek_interpreter_stack() is not None
    return transformed or torch.compiler.is_exporting()
