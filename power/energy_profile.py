"""The calibration of a machine: what its cores draw, as `agent.py task=calibrate` measured it.

Both wings read it: the meter counts joules with it, the lab tells a known trial's joules anew by it.
"""

import json
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from power.processor import processor
from refusal import Refusal

PLACE = "JOULELAB_ENERGY_PROFILE"
"""environment variable that names the file; without it the user's configuration folder has it"""


@final
@dataclass(frozen=True)
class Profile:
    """Watts of one machine: of the whole of it by the number of busy cores, and what one core adds.

    `error` is the relative half-width of `core_w`, `source` is `rapl` or `wall meter`, `taken` an ISO date.
    """

    hardware: str
    idle_w: float
    busy_w: dict[str, float]
    core_w: float
    error: float
    source: str
    taken: str


def place() -> Path:
    """Where the profile lies, whether or not there is one."""
    named = os.environ.get(PLACE)
    if named:
        return Path(named).expanduser()
    folder = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(folder).expanduser() / "joulelab" / "energy_profile.json"


def read(path: Path | None = None) -> Profile | None:
    """The profile, None where there is none. Raises `Refusal` for a file that holds no usable one."""
    path = place() if path is None else path
    if not path.is_file():
        return None
    try:
        return _profile(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refusal(
            f"{path} is no energy profile ({type(error).__name__}: {error}): delete it, or run "
            "python agent.py task=calibrate again."
        ) from None


def write(profile: Profile, path: Path | None = None) -> Path:
    """Put the profile in its place, whole or not at all. Raises `Refusal` where that cannot be written."""
    path = place() if path is None else path
    beside = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps(asdict(profile), indent=1) + "\n")
        beside.replace(path)
    except OSError as error:
        raise Refusal(f"{path} cannot be written ({error.strerror}): name another file by {PLACE}.") from None
    return path


def basis(profile: Profile) -> str:
    """What joules by CPU time rest on with this profile: `CPU seconds x 5.1 W a core (calibrated ...)`."""
    return f"CPU seconds x {profile.core_w:.3g} W a core (calibrated {profile.taken})"


def rated(core_w: float, made_of: str) -> str:
    """What they rest on without a profile: `CPU seconds x 3.89 W a core (TDP 280 W / 72, ...)`."""
    return f"CPU seconds x {core_w:.3g} W a core ({made_of})"


def this_machine() -> str:
    """The machine that a profile is of: `AMD EPYC 7B13, 8 cores`, whatever share of them this process has."""
    return f"{processor().model}, {processor().cpus} cores"


def _profile(given: dict[str, Any]) -> Profile:
    watts = {str(cores): float(value) for cores, value in given["busy_w"].items()}
    profile = Profile(
        hardware=str(given["hardware"]),
        idle_w=float(given["idle_w"]),
        busy_w=watts,
        core_w=float(given["core_w"]),
        error=float(given["error"]),
        source=str(given["source"]),
        taken=str(given["taken"]),
    )
    if not all(math.isfinite(draw) and draw > 0 for draw in (profile.core_w, *watts.values())):
        raise ValueError("watts are not above 0")
    return profile
