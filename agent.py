"""Research a goal, or any other task of the lab; the work is in research/tasks."""

import gc
import os
import sys
from pathlib import Path
from typing import Any

# The lab has no plugins of Pydantic, and to look through all packages for some costs each command 35 ms.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

import refusal

if __name__ == "__main__":
    refusal.from_the_start()

CONF = Path(__file__).parent / "conf"
READ: list[dict[str, Any]] = []
"""configurations as Hydra read them; none for --cfg, several for -m"""


def by_hydra() -> list[dict[str, Any]]:
    """Let Hydra read the command line: flags, sweeps, and mistakes, which it words well."""
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import DictConfig, OmegaConf

    from construct import own_folder, trust_composed
    from research.tasks.line import arguments

    @hydra.main(version_base="1.3", config_path="conf", config_name="agent")
    def read(cfg: DictConfig) -> None:
        """Keep the configuration: what is done with it runs outside Hydra, which words errors its own way."""
        config: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
        trust_composed(config, HydraConfig.get())
        config["config_dir"] = own_folder(HydraConfig.get()) or config["config_dir"]
        READ.append(config)

    typed = sys.argv[1:]
    sys.argv[1:] = arguments(typed)
    # Hydra wraps what a job raises in its own report unless it is told to let errors through.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    read()
    if not READ and {text for text in typed if text.startswith("-")} in ({"-m"}, {"--multirun"}):
        raise refusal.Refusal("nothing is swept: some key has no value, as of range(0)")
    return READ


def main() -> None:
    """Read the command line and do each task that it asks for."""
    from construct import look_here
    from research.tasks import line

    # What a command makes it keeps: to look for circles in all of it took a third of a large report's time.
    gc.set_threshold(100_000, 50, 100)
    look_here()
    typed = sys.argv[1:]
    as_json = line.as_document(typed)
    with line.told(as_json) as out, refusal.private():
        refusal.refuse_secrets(typed)
        if line.helps(typed):
            line.say(line.page(typed, CONF), as_json, out)
            return
        line.refuse_flags(typed, CONF)
        quick = line.quickly(typed, CONF)
        from research.campaign.campaign import Campaign
        from research.tasks.task import perform

        for config in by_hydra() if quick is None else [quick]:
            with Campaign(config) as campaign:
                line.say(perform(campaign), bool(config["json"]), out)


if __name__ == "__main__":
    main()
