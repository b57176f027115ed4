"""Research a goal, or run a recipe's experiment: trials -> verdict -> report.md."""

import re
import sys
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

import refusal

READ: list[dict[str, Any]] = []
"""configurations as Hydra read them; none for --cfg, several for -m"""


@hydra.main(version_base="1.3", config_path="conf", config_name="agent")
def read(cfg: DictConfig) -> None:
    """Keep the configuration; what is done with it runs outside Hydra, which tells errors in its own way."""
    config: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    READ.append(config)


@refusal.command
def main() -> None:
    """Read the command line, with the goal taken as the plain words that it is, and run each campaign."""
    from research.goals import manual
    from research.goals.quoting import quoted

    if set(manual.ASKED) & set(sys.argv[1:]):
        print(manual.page(Path(__file__).parent / "conf" / "agent.yaml"))
        return
    # conf/experiment/ makes `experiment` a group to Hydra, and agent.yaml chooses from none.
    named = [re.sub(r"^\+?experiment=", "recipe=", text) for text in sys.argv[1:]]
    sys.argv[1:] = quoted(named)
    read()
    for config in READ:
        from research.experiments.tasks import perform

        perform(config)


if __name__ == "__main__":
    main()
