"""The resolved plain config of every job of a sweep, by our composer where it applies, else by Hydra."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from reading.learnt import found
from refusal import Refusal

if TYPE_CHECKING:
    from research.compose.compose import Composer

Config = dict[str, Any]


def points(master: DictConfig, loader: ConfigLoader, jobs: Sequence[Sequence[str]]) -> list[Config]:
    """One config for each job, in 3 ms instead of 130 where only `conf/` and --config-dir are searched.

    Raises `Refusal`, with the overrides of the job that cannot be composed.
    """
    composer = composer_of(master)
    if composer is None or any(text.startswith("hydra") for overrides in jobs for text in overrides):
        return [_by_hydra(master, loader, list(overrides)) for overrides in jobs]
    return [_quickly(composer, list(overrides)) for overrides in jobs]


def composer_of(master: DictConfig) -> "Composer | None":
    """Ours, of the root config's folder and that of --config-dir; None when a search path adds another place.

    Raises `Refusal` for an own option that has the name of one of ours.
    """
    from research.compose.compose import Composer

    sources = [one for one in master.hydra.runtime.config_sources if one.provider not in ("hydra", "schema")]
    folders = {one.provider: Path(str(one.path)) for one in sources if one.schema == "file"}
    if len(folders) < len(sources) or not {"main"} <= folders.keys() <= {"main", "command-line"}:
        return None
    return Composer(folders["main"], str(master.hydra.job.config_name), folders.get("command-line"))


def _quickly(composer: Any, overrides: list[str]) -> Config:
    try:
        config: Config = composer.resolve(overrides).config
    except Refusal as refusal:
        raise Refusal(f"{' '.join(overrides)}: {refusal}") from refusal
    return config


def _by_hydra(master: DictConfig, loader: ConfigLoader, overrides: list[str]) -> Config:
    from research.compose.trees import unspaced

    before = HydraConfig.instance().cfg
    try:
        composed = loader.load_sweep_config(master, overrides)
        HydraConfig.instance().set_config(composed)  # for ${hydra:...}
        with open_dict(composed):
            del composed["hydra"]
            composed.data.update(found(OmegaConf.to_container(composed.data, resolve=True)))
        plain: Any = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as error:
        first = (str(error) or str(error.__cause__)).strip().splitlines()[0]
        raise Refusal(f"{' '.join(overrides)}: {first}") from error
    finally:
        HydraConfig.instance().cfg = before
    config: Config = unspaced(plain)
    return config
