"""Gaussian process: a surrogate of the figure over the incumbent's dimensions, and expected improvement."""

from collections.abc import Mapping
from typing import Any, final

from research.propose.sampler import Sampler


@final
class Gp(Sampler):
    """Optuna's GPSampler (Matern 5/2, log expected improvement; Ament et al., 2023, arXiv 2310.20708).

    Changed from the original: it redraws a few dimensions of the incumbent and copies the others from it,
    which is BO by dropout (Li et al., 2017, arXiv 1802.05400, "dropout-copy").
    Its first proposal imports torch, for Optuna's sake: this process then holds 200 MB more.
    """

    name = "gp"
    joint = True

    def _sampler(self, seed: int, start: Mapping[str, Any]) -> Any:
        return self._optuna.samplers.GPSampler(seed=seed, n_startup_trials=0, warn_independent_sampling=False)
