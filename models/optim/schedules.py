"""Learning-rate schedules: functions of progress in [0, 1] that return a factor on the learning rate.

Progress is the largest of the shares of steps, seconds and joules that are spent, so a schedule ends with its
budget, whichever limit ends it. Each starts with a linear warm-up over the first `warmup` of the progress.
"""

import math

from refusal import Refusal


def constant(progress: float, *, warmup: float = 0.0) -> float:
    """1 after the warm-up."""
    return _warm(progress, _share("warmup", warmup))


def linear(progress: float, *, warmup: float = 0.05, floor: float = 0.0) -> float:
    """From 1 after the warm-up straight down to `floor` at the end."""
    if progress < _share("warmup", warmup):
        return progress / warmup
    return 1.0 - (1.0 - _share("floor", floor)) * (progress - warmup) / max(1.0 - warmup, 1e-12)


def cosine(progress: float, *, warmup: float = 0.05, floor: float = 0.0) -> float:
    """Half a cosine from 1 to `floor` (Loshchilov and Hutter 2017, arXiv 1608.03983, eq. 5, no restarts)."""
    if progress < _share("warmup", warmup):
        return progress / warmup
    done = (progress - warmup) / max(1.0 - warmup, 1e-12)
    return _share("floor", floor) + (1.0 - floor) * 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))


def wsd(progress: float, *, warmup: float = 0.05, decay: float = 0.2, floor: float = 0.0) -> float:
    """Warm-up, stable, decay: 1 until the last `decay` of the progress, then `1 - sqrt` down to `floor`.

    Source: Hu et al. 2024, arXiv 2404.06395, section 4; the `1 - sqrt` shape of the decay is from Hägele et
    al. 2024, arXiv 2405.18392, equation 1, who found it better than a line.
    """
    if _share("warmup", warmup) + _share("decay", decay) > 1.0:
        raise Refusal(
            f"scheduler.warmup {warmup} and scheduler.decay {decay} overlap: let them sum to at most 1."
        )
    if progress <= 1.0 - decay:
        return _warm(progress, warmup)
    done = min((progress - (1.0 - decay)) / decay, 1.0)
    return 1.0 - (1.0 - _share("floor", floor)) * math.sqrt(done)


def _warm(progress: float, warmup: float) -> float:
    return progress / warmup if progress < warmup else 1.0


def _share(name: str, value: float) -> float:
    if not 0.0 <= value <= 1.0:
        raise Refusal(f"scheduler.{name} is a share of the training: set it between 0 and 1, not {value}.")
    return value
