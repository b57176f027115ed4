"""Distillation: a student learns from a teacher's answers besides the labels, or from its features."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.compress.compression import Compression
from models.compress.context import Context
from models.data.dataset import UNSCORED
from models.training.objective import Around, TrainingObjective
from refusal import Refusal

Labels = Literal["soft", "hard"]


def soft_labels(logits: Tensor, answers: Tensor, temperature: float) -> Tensor:
    """Mean over examples of T^2 KL(teacher || student), both softened by T; logits and answers (N, C).

    Source: Hinton, Vinyals and Dean (2015), arXiv 1503.02531, section 2, where T^2 keeps the gradients' size.
    """
    student = functional.log_softmax(logits / temperature, -1)
    teacher = functional.log_softmax(answers / temperature, -1)
    return temperature**2 * functional.kl_div(student, teacher, reduction="batchmean", log_target=True)


def hard_labels(logits: Tensor, answers: Tensor) -> Tensor:
    """Cross-entropy with the class that the teacher finds likeliest; logits and answers (N, C)."""
    return functional.cross_entropy(logits, answers.argmax(-1))


def similarity(features: Tensor, seen: Tensor) -> Tensor:
    """How far the examples of a batch are alike to the student in other ways than to the teacher.

    features (B, ...) and seen (B, ...) may have different widths: each is reduced to its (B, B) matrix of
    inner products, rows normalised; the mean squared difference is the loss, so no projection must be learnt.
    Source: Tung and Mori (2019), arXiv 1907.09682, equations 1 to 4.
    """
    ours, theirs = (
        functional.normalize(part.flatten(1).float() @ part.flatten(1).float().T) for part in (features, seen)
    )
    return (ours - theirs).square().mean()


@final
class Distill(Compression):
    """The loss becomes (1 - weight) * loss + weight * teacher's term + features * similarity.

    With `teacher` a network, the training and each fine-tuning learn from it. With `teacher="self"` only the
    fine-tunings of other steps do, from the trained network as it was before the first of them.

    Raises:
        Refusal: a number is out of range, there is no teacher, or it answers another question.
    """

    def __init__(
        self,
        teacher: nn.Module | Literal["self"] | None,
        labels: Labels = "soft",
        temperature: float = 4.0,
        weight: float = 0.9,
        features: float = 0.0,
    ) -> None:
        super().__init__()
        if labels not in ("soft", "hard"):
            raise Refusal(f"compress.distill.labels '{labels}' is unknown: choose soft or hard.")
        if temperature <= 0 or not 0 <= weight <= 1 or features < 0:
            raise Refusal(
                "compress.distill needs a temperature above 0, a weight in [0, 1], and features of 0 or more."
            )
        if not isinstance(teacher, nn.Module) and teacher != "self":
            raise Refusal(
                "compress.distill has no teacher: set compress.distill.teacher.recipe=[model=...], "
                "teacher.run=ID or teacher.checkpoint=PATH, or choose compress=[...,distill_self]."
            )
        self._teacher = teacher if isinstance(teacher, nn.Module) else None
        self._labels, self._temperature, self._weight = labels, temperature, weight
        self._features, self._self = features, teacher == "self"
        self._seen: dict[str, Tensor] = {}

    def check(self, net: nn.Module, context: Context) -> None:
        """Ask teacher and student the same, and compare what they answer."""
        if context.data.task in ("regression", "multilabel"):
            raise Refusal(
                "compress.distill teaches the shares of classes that exclude each other: leave it out where "
                "values or several classes are asked."
            )
        if len(context.names) == 1 and (self._self or context.given is not None):
            raise Refusal(
                f"compress=[{context.names[0]}] alone fine-tunes nothing: put a step before it that does, as "
                f"compress=[structured,{context.names[0]}]."
            )
        if self._self:
            return
        assert self._teacher is not None
        self._adopt(self._teacher, context)
        parameters = sum(weight.numel() for weight in self._teacher.parameters())
        own = sum(weight.numel() for weight in net.parameters())
        self.facts = {"teacher_parameters": parameters, "student_share": own / parameters}
        with torch.no_grad():
            expected = net(context.example[:2]).shape
            answered = self._teacher(context.example[:2]).shape
        if answered != expected:
            raise Refusal(
                f"the teacher answers {tuple(answered)} where this task wants {tuple(expected)}: choose a "
                "teacher that was trained on the same data."
            )

    def trained(self, net: nn.Module, context: Context) -> None:
        """From here on the trained network teaches, when it is its own teacher."""
        if self._self:
            self._adopt(net, context)

    def objective(self, objective: TrainingObjective, context: Context) -> TrainingObjective:
        """The mixture of both terms; the objective as it was while there is no teacher yet."""
        plain = objective.term

        def term(inputs: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
            loss = plain(inputs, logits, targets)
            return loss if self._teacher is None else self._mixed(loss, inputs, logits, targets)

        return replace(objective, term=term, around=self._around(objective.around))

    def _around(self, outer: Around) -> Around:
        """Keep the student's features of the forward pass, where they are compared."""
        if not self._features:
            return outer

        @contextmanager
        def around(net: nn.Module) -> Iterator[None]:
            with outer(net), captured(net, self._seen) if self._teacher else nullcontext():
                yield

        return around

    def _adopt(self, teacher: nn.Module, context: Context) -> None:
        self._teacher = teacher.to(context.device).eval().requires_grad_(False)

    def _mixed(self, loss: Tensor, inputs: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
        seen: dict[str, Tensor] = {}
        assert self._teacher is not None
        with torch.no_grad(), captured(self._teacher, seen) if self._features else nullcontext():
            answers = self._teacher(inputs)
        loss = (1.0 - self._weight) * loss + self._weight * self._taught(logits, answers, targets)
        if self._features:
            loss = loss + self._features * similarity(self._seen.pop("features"), seen["features"])
        return loss

    def _taught(self, logits: Tensor, answers: Tensor, targets: Tensor) -> Tensor:
        logits, answers = logits.flatten(0, -2).float(), answers.flatten(0, -2).float()
        if targets.ndim > 1 and not targets.is_floating_point():
            # Not shares of mixed examples, which are all scored. A product with 0 and 1 would keep the shape,
            # but give the mean over all places.
            scored = targets.flatten() != UNSCORED
            logits, answers = logits[scored], answers[scored]
        if self._labels == "hard":
            return hard_labels(logits, answers)
        return soft_labels(logits, answers, self._temperature)


@contextmanager
def captured(net: nn.Module, into: dict[str, Tensor]) -> Iterator[None]:
    """Put what the last linear layer of `net` reads into `into["features"]` during forward passes inside."""
    layers = [module for module in net.modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise Refusal("compress.distill.features wants a network that ends in a linear layer: set it to 0.")

    def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        into["features"] = inputs[0]

    hook = layers[-1].register_forward_pre_hook(keep)
    try:
        yield
    finally:
        hook.remove()
