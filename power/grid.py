"""How much carbon a kilowatt-hour of electricity carries, from CodeCarbon's tables, without the network.

Both wings ask: the meter for what it measures, the lab for a known trial that is asked with another grid.
"""

import functools
import json
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, final

from refusal import Refusal


@final
@dataclass(frozen=True)
class Electricity:
    """Carbon intensity of the electricity, and where the number comes from."""

    g_per_kwh: float
    source: str
    country: str | None = None

    def co2_kg(self, joules: float) -> float:
        """Kilograms of CO2-equivalent of so many joules."""
        return joules / 3.6e6 * self.g_per_kwh / 1000


def grid(country: str | None = None, g_per_kwh: float | None = None) -> Electricity:
    """The grid by its intensity in gCO2e/kWh, else by ISO 3166 country code, else the world's average.

    Raises `Refusal` for a country that CodeCarbon has no figure for and for a negative intensity. The tables
    are read as files: CodeCarbon itself would read them through pandas, for 0.8 CPU s.
    """
    if g_per_kwh is not None:
        if not 0 <= g_per_kwh < float("inf"):
            raise Refusal(f"meter.grid_g_per_kwh is {g_per_kwh}: set grams of CO2 per kWh, 0 or more.")
        return Electricity(float(g_per_kwh), "meter.grid_g_per_kwh", country)
    return _world() if country is None else _country(country.upper())


def table(name: str) -> Path:
    """A file of CodeCarbon's data, such as `hardware/cpu_power.csv`, found without importing it."""
    spec = find_spec("codecarbon")
    if spec is None or not spec.submodule_search_locations:
        raise Refusal(
            "codecarbon is not installed: pip install codecarbon, for its tables of power and carbon."
        )
    return Path(spec.submodule_search_locations[0]) / "data" / name


def _world() -> Electricity:
    sources = _json("carbon_intensity_per_source.json")
    return Electricity(
        float(sources["world_average"]), f"world average, {_tables()} ({sources['world_average_source']})"
    )


def _country(code: str) -> Electricity:
    mixes = _json("global_energy_mix.json")
    mix = mixes.get(code)
    if mix is None or mix.get("carbon_intensity") is None:
        raise Refusal(
            f"meter.country '{code}' has no grid intensity in CodeCarbon's table: give its three-letter ISO "
            "code such as FRA, or set meter.grid_g_per_kwh to a figure of your own."
        )
    return Electricity(
        float(mix["carbon_intensity"]), f"{mix['country_name']} {mix['year']}, {_tables()}", code
    )


@functools.cache
def _json(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(table(f"private_infra/{name}").read_text(encoding="utf-8"))
    return read


def _tables() -> str:
    return f"CodeCarbon {version('codecarbon')}"
