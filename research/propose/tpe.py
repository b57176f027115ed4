"""Tree-structured Parzen estimator: a few knobs of the best so far, redrawn near what was good."""

from collections.abc import Mapping
from typing import Any, final

from research.propose.sampler import Sampler


@final
class Tpe(Sampler):
    """Optuna's TPE; Bergstra et al. (2011), NeurIPS 24; Watanabe (2023), arXiv 2304.11127.

    Changed from the original: only a few dimensions of the incumbent are redrawn at a time, because a short
    campaign over a score of dimensions gives no density to draw all of them from.
    """

    name = "tpe"

    def _sampler(self, seed: int, start: Mapping[str, Any]) -> Any:
        return self._optuna.samplers.TPESampler(seed=seed, n_startup_trials=0)
