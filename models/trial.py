"""One trial from its parts to its numbers: fit, then score, cost, latency and energy of one final network."""

import platform
import random
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import nn

import pulse
from models.compress import artefact
from models.compress.context import Context
from models.compress.gains import error, error_vs_fp32, gains, shortfalls
from models.data.batches import sequential
from models.data.dataset import Dataset
from models.energy.cpu_time import CpuTime, descendants
from models.energy.figures import Energy
from models.energy.meter import Meter
from models.inference import Figures, check, inference
from models.measure import cost, peak
from models.measure.constant import constant
from models.own.beginning import Beginning
from models.own.judged import scores
from models.own.network import DESCRIBED
from models.pipeline import Pipeline, brief, paid, with_compression
from models.training import loggers
from models.training.evaluate import evaluate
from models.training.fitted import Fitted
from models.training.precision import AUTOCAST
from models.training.settings import Settings
from models.training.side import taken
from refusal import Refusal

_NAMED = 1000
"""names of classes that a row holds at most"""


@final
@dataclass(frozen=True)
class Measured:
    """All that a trial found out. Metrics are SI units; facts are what is not a number."""

    metrics: dict[str, float]
    facts: dict[str, Any]
    curve: list[dict[str, float]]


def seed_everything(seed: int, threads: int | None) -> None:
    """Seed python, numpy and torch, and set how many threads torch may use."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    if threads:
        torch.set_num_threads(threads)


def prepare(folder: Path, seed: int, threads: int | None) -> None:
    """Make the trial's folder and seed everything, before any part is built.

    Raises:
        Refusal: the folder cannot be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / ".writable").touch()
        (folder / ".writable").unlink()
    except OSError as error:
        raise Refusal(
            f"root: {folder} cannot be written ({error.strerror}): choose another root=FOLDER."
        ) from error
    seed_everything(seed, threads)


def run(*, run: loggers.Run, logger: dict[str, Any], **parts: Any) -> Measured:
    """Train and measure; loggers are closed with the trial's exit code whatever happens.

    Raises:
        Diverged: the loss became non-finite or exploded.
        Refusal: the parts do not fit each other or this machine.
    """
    before = set(descendants("self"))
    opened = [make(run) for make in (logger or {}).values()]
    # A logger may have started a process of its own, such as wandb's service.
    parts["meter"].serving = set(descendants("self")) - before
    metrics: dict[str, float] = {}
    facts: dict[str, Any] = {}
    failed = True
    try:
        measured = train_and_measure(opened, run.folder, **parts)
        metrics, facts, failed = measured.metrics, measured.facts, False
        return measured
    finally:
        parts["meter"].stop()
        pulse.beat("measuring")
        run.notes.extend(loggers.finish(opened, metrics, facts, exit_code=int(failed)))
        facts["notes"] = [*facts.get("notes", ()), *run.notes]


def train_and_measure(
    opened: list[Any],
    folder: Path,
    *,
    compress: dict[str, Any],
    model: nn.Module,
    trainer: Settings,
    beginning: Beginning | None = None,
    metric: Any = None,
    unmeasured: Sequence[str] = (),
    spent_s: float = 0.0,
    **parts: Any,
) -> Measured:
    """Fit the network, compress it, and take every number but the `unmeasured` on its final weights.

    `spent_s`: CPU seconds of this process that are not this trial's.
    """
    check(unmeasured)
    # Lightning's own use of a torch type that torch renames; nothing a user could do.
    warnings.filterwarnings("ignore", message=r".*LeafSpec.*is deprecated")
    started = time.perf_counter()
    parts["callbacks"], data = parts["callbacks"] or {}, parts["data"]
    begun = (beginning or Beginning()).begin(model, data)
    # What a person brought to judge by is tried before anything trains.
    judges = (parts["loss"], metric)
    scores(model, data.val, data.batch_size, judges)
    beside = partial(scores, judges=judges)
    pipeline = Pipeline(compress or {}, model, settings=trainer, folder=folder, beside=beside, **parts)
    begun.check(pipeline.net, list(pipeline.steps))
    fitted = pipeline.fit(opened)
    fit_seconds = time.perf_counter() - started
    notes: list[str] = begun.notes + fitted.facts.pop("notes", [])
    apart = partial(begun.doubts, fitted.net, pipeline.context.data)
    if fitted.steps:
        notes += taken("a look at what the network keeps apart", apart, list[str](), notes)
    example = pipeline.context.example[:1]
    nothing: Figures = ({}, {})
    counted = taken("compute/ and size/", lambda: cost.measure(fitted.net, example), nothing, notes)
    used, peak_facts = taken(
        "train/fraction_of_peak",
        lambda: fraction_of_peak(fitted, counted[0], pipeline.context),
        nothing,
        notes,
    )
    net = begun.ended(pipeline.compress(fitted.net))
    trained = with_compression(fitted.metrics, pipeline)
    pulse.settled(paid(trained))
    if pipeline.reshapes or begun.adapted:
        counted = taken("compute/ and size/", lambda: cost.measure(net, example), nothing, notes)
    # What a compression is for is seen in its latency.
    left_out = () if pipeline.reshapes else unmeasured
    metrics, facts = final_numbers(net, pipeline.context, parts["meter"], folder, left_out, notes)
    metrics |= own_scores(net, pipeline.context, judges)
    metrics, facts = counted[0] | metrics, counted[1] | facts
    facts |= {"compress": pipeline.facts()} if pipeline.steps else {}
    if pipeline.reshapes:
        gained, uneven = compressed(pipeline, net, metrics, notes)
        metrics, facts["disturbed"] = metrics | gained, facts["disturbed"] | uneven
    metrics = trained | metrics
    metrics["trial/fit_seconds"] = fit_seconds
    metrics["trial/seconds"] = time.perf_counter() - started
    # Of the whole process, as its start is what a short training costs most.
    metrics["trial/cpu_seconds"] = CpuTime().read() - spent_s
    others = fitted.facts["disturbed"] | facts.pop("disturbed")
    metrics, facts = metrics | used, facts | fitted.facts | peak_facts | begun.facts
    facts["disturbed"] = with_disturbance(others, pipeline.energy)
    facts["notes"] = [*doubts(fitted.energy, pipeline.energy), *data.about.get("notes", ()), *notes]
    facts |= described(data, folder)
    return Measured(metrics, facts, fitted.curve)


def own_scores(net: nn.Module, context: Context, judges: Sequence[Any]) -> dict[str, float]:
    """What a person's own loss and metric say of the final network on validation and test."""
    data, dtype = context.data, AUTOCAST.get(context.precision)
    with torch.autocast(torch.device(context.device).type, dtype, enabled=dtype is not None):
        parts = {part: scores(net, getattr(data, part), data.batch_size, judges) for part in ("val", "test")}
    return {f"{part}/{key}": value for part, found in parts.items() for key, value in found.items()}


def described(data: Dataset, folder: Path) -> dict[str, Any]:
    """The facts of the data; what a network needs of them beside its weights is left in `data.json`."""
    (folder / "data.json").write_text(data.spelt())
    names = data.about.get("names")
    sizes = {part: len(getattr(data, part)) for part in ("train", "val", "test")}
    found = {"examples_of": sizes, "baseline": constant(data)}
    return found | ({"classes": names[:_NAMED]} if names else {})


def final_numbers(
    net: nn.Module, context: Context, meter: Meter, folder: Path, left_out: Sequence[str], notes: list[str]
) -> Figures:
    """Score, bytes, latency and energy of one and the same network, in the precision of its training.

    Its weights are left in `folder` as `weights.pt`, packed; `size/bytes` are those of that file. What is no
    score may fail: it is left out then, with a note among `notes`.
    """
    data, device = context.data, torch.device(context.device)
    dtype = AUTOCAST.get(context.precision)
    batch = next(sequential(data.test, data.batch_size))[0]
    with torch.autocast(device.type, dtype, enabled=dtype is not None):
        # What a search may look at is all that the test has; only the test's facts are kept.
        detailed = data.task in ("classification", "multilabel")
        val, _ = evaluate(net, data.val, data.task, data.batch_size, data.classes, detailed)
        test, facts = evaluate(net, data.test, data.task, data.batch_size, data.classes, detailed=True)
        own = taken("the network's own metrics", lambda: _own(net), dict[str, float](), notes)
    timed, told = inference(net, data, context.precision, meter, left_out, notes)
    metrics = {f"val/{key}": value for key, value in val.items()}
    metrics |= {f"test/{key}": value for key, value in test.items()}
    metrics |= timed | own
    metrics["size/bytes"] = float(artefact.save(net, folder / "weights.pt"))
    metrics |= taken("numerics/", lambda: _error_vs_fp32(net, batch, dtype), dict[str, float](), notes)
    return metrics, facts | told | machine(device)


def _own(net: nn.Module) -> dict[str, float]:
    # Of a person's network an attribute of this name may be anything.
    own: dict[str, float] = {} if DESCRIBED in vars(net) else getattr(net, "metrics", dict)()
    return own


def _error_vs_fp32(net: nn.Module, batch: torch.Tensor, dtype: torch.dtype | None) -> dict[str, float]:
    return {"numerics/error_vs_fp32": error_vs_fp32(net, batch, dtype)}


def fraction_of_peak(fitted: Fitted, counted: dict[str, float], context: Context) -> Figures:
    """`train/fraction_of_peak` and `compute/flops_train`, of the network that was trained.

    What a compression leaves has fewer, which no step of the training had, or none, where nothing can train.
    """
    share, facts = peak.share(fitted.metrics | counted, fitted.settings.precision, context.device)
    trained = {key: counted[key] for key in ("compute/flops_train",) if key in counted}
    return trained | share, facts


def compressed(
    pipeline: Pipeline, net: nn.Module, metrics: dict[str, float], notes: list[str]
) -> tuple[dict[str, float], dict[str, str]]:
    """The `compress/` keys, of the final network beside the dense one, and why their window is disturbed.

    `compress/accuracy_lost` is by validation, what came after the training lost (in bits per byte for a
    language), and `numerics/error_vs_fp32` how far its answers moved from those of the trained network.
    """
    context = pipeline.context

    def beside() -> tuple[dict[str, float], dict[str, str]]:
        batch = next(sequential(context.data.test, context.batch_size))[0]
        dense = pipeline.dense.to(context.device)
        dtype = AUTOCAST.get(context.precision)
        with torch.autocast(batch.device.type, dtype, enabled=dtype is not None):
            gained, uneven = gains(dense, net, batch, artefact.measure(dense), metrics["size/bytes"])
            gained["numerics/error_vs_fp32"] = error(pipeline.trained, net, batch)
        notes.extend(shortfalls(gained))
        return gained, {"compress": uneven} if uneven else {}

    nothing: tuple[dict[str, float], dict[str, str]] = ({}, {})
    gained, uneven = taken("compress/bytes_ratio and compress/speedup", beside, nothing, notes)
    lost = context.score(pipeline.trained) - context.score(net)
    return gained | {"compress/accuracy_lost": lost}, uneven


def with_disturbance(others: dict[str, str], added: Energy | None) -> dict[str, str]:
    """Why windows were disturbed; the training's holds its compression."""
    if added is None or added.disturbed is None or "train" in others:
        return others
    return others | {"train": f"while it was compressed, {added.disturbed}"}


def doubts(training: Energy, added: Energy | None) -> list[str]:
    """What must be said of the joules; a network that was given has no training's."""
    if not training.seconds:
        return []
    if added is not None and brief(added):
        took = f"joules of the compression are its {1000 * added.seconds:.0f} ms at the training's power"
        return doubts(training, None) + ([took] if added.seconds > 0.001 else [])
    unsound = [energy.note for energy in (training, added) if energy is not None and not energy.valid]
    calibration = training.hardware.get("calibration")
    return [f"no joules of the training: {note}" for note in unsound] + ([calibration] if calibration else [])


def machine(device: torch.device) -> dict[str, Any]:
    """What the numbers were taken on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu"
    return {"device": name, "threads": torch.get_num_threads(), "torch": torch.__version__}
