"""Research a goal: goal -> objective -> proposals -> trials -> verdict -> report.md."""

import sys
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

import refusal


@hydra.main(version_base="1.3", config_path="conf", config_name="agent")
def campaign(cfg: DictConfig) -> None:
    """Run the campaign that the configuration describes."""
    from research.commission import research

    config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    research(config)


@refusal.command
def main() -> None:
    """Read the command line, with the goal taken as the plain words that it is."""
    from research.quoting import quoted

    sys.argv[1:] = quoted(sys.argv[1:])
    campaign()


if __name__ == "__main__":
    main()
