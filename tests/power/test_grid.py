import pytest
from codecarbon.core.emissions import Emissions
from codecarbon.core.units import Energy
from codecarbon.external.geography import GeoMetadata
from codecarbon.input import DataSource

from power.grid import grid
from refusal import Refusal


def test_the_worlds_average_says_where_it_comes_from():
    world = grid()
    assert world.g_per_kwh == 475
    assert "iea.org" in world.source and "CodeCarbon" in world.source


@pytest.mark.parametrize(("country", "grams"), [("FRA", 56.039), ("fra", 56.039), ("POL", None)])
def test_a_country_has_codecarbons_figure(country, grams):
    found = grid(country)
    assert found.country == country.upper()
    if grams:
        assert found.g_per_kwh == pytest.approx(grams, abs=20)
    else:
        assert found.g_per_kwh > 3 * grid("FRA").g_per_kwh


def test_every_countrys_figure_is_the_one_that_codecarbon_would_charge():
    own = Emissions(DataSource())
    for code, mix in DataSource().get_global_energy_mix_data().items():
        place = GeoMetadata(country_iso_code=code, country_name=mix["country_name"])
        charged = own.get_country_emissions(Energy.from_energy(kWh=1.0), place)
        assert grid(code).co2_kg(3.6e6) == pytest.approx(charged)


def test_an_explicit_intensity_wins():
    assert grid("FRA", 12.5).g_per_kwh == 12.5
    assert grid("FRA", 12.5).source == "meter.grid_g_per_kwh"
    assert grid(None, 0.0).co2_kg(3.6e6) == 0


def test_a_kilowatt_hour_is_charged_once():
    assert grid(None, 475.0).co2_kg(3.6e6) == pytest.approx(0.475)


@pytest.mark.parametrize(
    ("country", "grams"), [("XYZ", None), ("France", None), (None, -1.0), (None, float("nan"))]
)
def test_what_has_no_figure_is_refused(country, grams):
    with pytest.raises(Refusal, match="meter"):
        grid(country, grams)
