"""Learning-rate schedules: functions of progress in [0, 1] that return a factor on the learning rate.

Progress is the largest of the shares of steps, seconds and joules that are spent, so a schedule ends with its
budget, whichever limit ends it. Each starts with a warm-up over the first `warmup` of the progress,
a line unless it says otherwise.
"""

import math

from refusal import Refusal


def constant(progress: float, *, warmup: float = 0.0) -> float:
    """1 after the warm-up."""
    _check(warmup=warmup)
    return _warm(progress, warmup)


def linear(progress: float, *, warmup: float = 0.05, floor: float = 0.0) -> float:
    """From 1 after the warm-up straight down to `floor` at the end."""
    _check(warmup=warmup, floor=floor)
    if progress < warmup:
        return progress / warmup
    return 1.0 - (1.0 - floor) * (progress - warmup) / max(1.0 - warmup, 1e-12)


def cosine(progress: float, *, warmup: float = 0.05, floor: float = 0.0) -> float:
    """Half a cosine from 1 to `floor` (Loshchilov and Hutter 2017, arXiv 1608.03983, eq. 5, no restarts)."""
    _check(warmup=warmup, floor=floor)
    if progress < warmup:
        return progress / warmup
    done = (progress - warmup) / max(1.0 - warmup, 1e-12)
    return floor + (1.0 - floor) * _falling(done)


def wsd(progress: float, *, warmup: float = 0.05, decay: float = 0.2, floor: float = 0.0) -> float:
    """Warm-up, stable, decay: 1 until the last `decay` of the progress, then `1 - sqrt` down to `floor`.

    Source: Hu et al. 2024, arXiv 2404.06395, section 4; the `1 - sqrt` shape of the decay is from Hägele et
    al. 2024, arXiv 2405.18392, equation 1, who found it better than a line.
    """
    _check(warmup=warmup, decay=decay, floor=floor)
    if warmup + decay > 1.0:
        raise Refusal(
            f"scheduler.warmup {warmup} and scheduler.decay {decay} overlap: let them sum to at most 1."
        )
    if progress <= 1.0 - decay:
        return _warm(progress, warmup)
    done = min((progress - (1.0 - decay)) / decay, 1.0)
    return 1.0 - (1.0 - floor) * math.sqrt(done)


def onecycle(progress: float, *, warmup: float = 0.3, start: float = 0.04, floor: float = 0.0) -> float:
    """Half a cosine from `start` up to 1 over the first `warmup`, then half a cosine down to `floor`.

    Source: Smith and Topin 2018, arXiv 1708.07120, in the form of torch's OneCycleLR (`start` is its
    1 / div_factor), without the cycle of the momentum.
    """
    _check(warmup=warmup, start=start, floor=floor)
    if progress < warmup:
        return 1.0 - (1.0 - start) * _falling(progress / warmup)
    done = (progress - warmup) / max(1.0 - warmup, 1e-12)
    return floor + (1.0 - floor) * _falling(done)


def rsqrt(progress: float, *, warmup: float = 0.05) -> float:
    """Up a line to 1 over the first `warmup`, then down as 1 / sqrt(progress): it ends at sqrt(`warmup`).

    Source: Vaswani et al. 2017, arXiv 1706.03762, equation 3. It is the same function of the step whatever
    the budget, as long as the warm-up is the same number of steps.
    """
    if not 0.0 < warmup <= 1.0:
        raise Refusal(f"scheduler.warmup of rsqrt sets where it falls: choose above 0 to 1, not {warmup}.")
    return progress / warmup if progress < warmup else math.sqrt(warmup / progress)


def _falling(done: float) -> float:
    """Half a cosine from 1 to 0."""
    return 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))


def _warm(progress: float, warmup: float) -> float:
    return progress / warmup if progress < warmup else 1.0


def _check(**shares: float) -> None:
    """At every step, also of what only its end needs: the first refuses what the last could not take."""
    for name, value in shares.items():
        if not 0.0 <= value <= 1.0:
            raise Refusal(f"scheduler.{name} must be a share: set it between 0 and 1, not {value}.")
