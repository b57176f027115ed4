"""Joules without a counter: CPU seconds times the watts of a busy core.

CPU seconds are what a training causes; wall time is what its neighbours cause. So idle power and memory,
which are drawn whether it runs or not, are no part of it: they are the standing draw, a line of its own. The
watts are the machine's own where it was calibrated, else rated power over cores: then figures of one machine
can be compared, and any of them may be off by a factor of two.
"""

import os
import platform
from typing import Any, final

from models.energy import codecarbon_total
from models.energy.figures import Tally
from power import energy_profile
from power.energy_profile import Profile
from power.processor import Processor


@final
class Estimate:
    """CPU seconds times `core_w`, for any window however short."""

    method = "estimated"
    components: tuple[str, ...] = ("cpu",)
    tick_s = 0.0
    shared = False

    def __init__(self, processor: Processor, profile: Profile | None = None, note: str | None = None) -> None:
        self._profile, self._note = profile, note
        if profile is None:
            self.core_w, made_of = processor.core_watts()
            self.standing_w = memory_watts()
            self.basis = energy_profile.rated(self.core_w, made_of)
        else:
            self.core_w, self.standing_w = profile.core_w, profile.idle_w
            self.basis = energy_profile.basis(profile)

    def read(self, exact: bool) -> dict[str, float]:
        """Nothing: CPU seconds are in every tally."""
        return {}

    def own(self, used: Tally) -> dict[str, float]:
        """The joules of the CPU."""
        return {"cpu": used.cpu_s * self.core_w}

    def mark(self) -> None:
        """Nothing is observed beside the joules."""

    def doubts(self, seconds: float) -> list[str]:
        """None that the word `estimated` does not say."""
        return []

    def hardware(self) -> dict[str, Any]:
        """Watts of a busy core, how far off they may be, the draw beside them, and a calibration not used."""
        error = "a factor of 2" if self._profile is None else f"{self._profile.error:.0%}"
        return {
            "core_w": self.core_w,
            "may_be_off_by": error,
            "standing_w": self.standing_w,
            "calibration": self._note,
        }

    def stop(self) -> None:
        """Nothing is held open."""


def calibrated() -> tuple[Profile | None, str | None]:
    """The profile of this machine, and a note where there is one that is of another.

    Raises `Refusal` for a file that is no profile.
    """
    profile = energy_profile.read()
    if profile is None or profile.hardware == (here := energy_profile.this_machine()):
        return profile, None
    place = energy_profile.place()
    return None, f"the calibration in {place} is of {profile.hardware}, not of {here}: it was not used"


def memory_watts() -> float:
    """Of all memory of this machine, by CodeCarbon's table."""
    arm = platform.machine().lower().startswith(("arm", "aarch"))
    held = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return codecarbon_total.ram_watts(held / 2**30, arm)
