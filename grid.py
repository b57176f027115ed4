"""How much carbon a kilowatt-hour of electricity carries, from CodeCarbon's tables, without the network.

Both wings ask: the meter for what it measures, the lab for a known trial that is asked with another grid.
"""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, final

from refusal import Refusal


@final
@dataclass(frozen=True)
class Grid:
    """Carbon intensity of the electricity, and where the number comes from."""

    g_per_kwh: float
    source: str
    country: str | None = None

    def co2_kg(self, joules: float) -> float:
        """Kilograms of CO2-equivalent of so many joules."""
        return joules / 3.6e6 * self.g_per_kwh / 1000


def grid(country: str | None = None, g_per_kwh: float | None = None) -> Grid:
    """The grid by its intensity in gCO2e/kWh, else by ISO 3166 country code, else the world's average.

    Raises `Refusal` for a country that CodeCarbon has no figure for and for a negative intensity. The first
    look into CodeCarbon's tables costs a process 0.8 CPU s (it reads them through pandas).
    """
    if g_per_kwh is not None:
        if not 0 <= g_per_kwh < float("inf"):
            raise Refusal(f"meter.grid_g_per_kwh is {g_per_kwh}: set grams of CO2 per kWh, 0 or more.")
        return Grid(float(g_per_kwh), "meter.grid_g_per_kwh", country)
    return _world() if country is None else _country(country.upper())


def _world() -> Grid:
    table = _data().get_carbon_intensity_per_source_data()
    return Grid(
        float(table["world_average"]), f"world average, {_tables()} ({table['world_average_source']})"
    )


def _country(code: str) -> Grid:
    from codecarbon.core.emissions import Emissions
    from codecarbon.core.units import Energy
    from codecarbon.external.geography import GeoMetadata

    mix = _data().get_global_energy_mix_data()
    if code not in mix:
        raise Refusal(
            f"meter.country '{code}' has no grid intensity in CodeCarbon's table: give its three-letter ISO "
            "code such as FRA, or set meter.grid_g_per_kwh to a figure of your own."
        )
    name = mix[code]["country_name"]
    kwh, geo = Energy.from_energy(kWh=1.0), GeoMetadata(country_iso_code=code, country_name=name)
    kilograms = Emissions(_data()).get_country_emissions(kwh, geo)
    return Grid(float(kilograms) * 1000, f"{name} {mix[code]['year']}, {_tables()}", code)


def _data() -> Any:
    """CodeCarbon's tables, which it does not type."""
    from codecarbon.input import DataSource

    source: Any = DataSource
    return source()


def _tables() -> str:
    return f"CodeCarbon {version('codecarbon')}"
