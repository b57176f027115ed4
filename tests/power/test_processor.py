import pytest
from codecarbon.core.cpu import TDP
from codecarbon.external.ram import RAM
from codecarbon.input import DataSource

from cases import each
from models.energy import codecarbon_total
from models.energy.estimate import memory_watts
from power.processor import Processor, processor, tdp

NAMES = [
    "AMD EPYC",
    "AMD EPYC 7763 64-Core Processor",
    "AMD EPYC 7B12",
    "AMD EPYC 9R14",
    "AMD Ryzen 9 5950X 16-Core Processor",
    "AMD Ryzen Threadripper 3970X 32-Core Processor",
    "Apple M1",
    "Apple M2 Pro",
    "Intel(R) Core(TM) i7-8550U CPU @ 1.80GHz",
    "Intel(R) Xeon(R) CPU @ 2.20GHz",
    "Intel(R) Xeon(R) CPU E5-2686 v4 @ 2.30GHz",
    "Intel(R) Xeon(R) Gold 6148 CPU @ 2.40GHz",
    "Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz",
    "Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz",
    "Intel(R) Xeon(R) Platinum 8480+",
    "Intel(R) Xeon(R) Processor @ 2.60GHz",
    "Neoverse-N1",
    "unknown",
]


@pytest.mark.slow
@each("name", NAMES)
def test_rated_power_is_what_codecarbon_finds(name):
    table = DataSource().get_cpu_power_data()
    match = TDP._get_matching_cpu(None, name, table)
    expected = None if match is None else float(table[table["Name"] == match]["TDP"].values[0])
    assert tdp(name) == expected


@pytest.mark.parametrize(
    ("model", "cores", "watts", "said"),
    [
        ("AMD EPYC 7763 64-Core Processor", 64, 4.375, "TDP 280 W / 64, CodeCarbon's table"),
        # A virtual machine shows two CPUs of it: the data sheet has 64.
        ("AMD EPYC 7763 64-Core Processor", None, 4.375, "TDP 280 W / 64, CodeCarbon's table"),
        ("Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz", None, 8.75, "TDP 210 W / 24, CodeCarbon's table"),
        ("Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz", None, 120 / 14, "TDP 120 W / 14, CodeCarbon's table"),
        ("AMD EPYC", None, 4.0, "CodeCarbon's default, as AMD EPYC is in no table"),
        ("AMD EPYC 7282 16-Core Processor", None, 4.0, "CodeCarbon's default, as the cores of AMD EPYC 7282"),
        ("AMD EPYC 7282 16-Core Processor", 16, 7.5, "TDP 120 W / 16, CodeCarbon's table"),
    ],
)
def test_a_core_takes_its_share_of_the_models_power_not_of_the_machines(model, cores, watts, said):
    found, made_of = Processor(model, 2, cores).core_watts()
    assert found == pytest.approx(watts) and said in made_of


def cpuinfo(tmp_path, flags, *, model="AMD EPYC 7543 32-Core Processor"):
    path = tmp_path / "cpuinfo"
    path.write_text(
        f"processor\t: 0\nmodel name\t: {model}\ncpu cores\t: 32\nflags\t\t: fpu {flags}\n\nprocessor\t: 1\n"
    )
    return path


def test_cores_are_counted_on_real_hardware_only(tmp_path):
    assert processor(cpuinfo(tmp_path, "sse2")).cores == 32
    processor.cache_clear()
    virtual = processor(cpuinfo(tmp_path, "sse2 hypervisor"))
    assert virtual.cores is None and virtual.model == "AMD EPYC 7543 32-Core Processor"
    processor.cache_clear()


def test_without_cpuinfo_there_is_a_name_all_the_same(tmp_path):
    assert processor(tmp_path / "none").model


def test_this_machines_memory_takes_what_codecarbon_says():
    assert memory_watts() == pytest.approx(RAM(tracking_mode="machine").total_power().W)


@each("gigabytes", [0.1, 1, 2, 2.1, 4, 8, 15.9, 16.1, 32, 33, 64, 65, 128, 129, 500, 1024, 5000])
@each("arm", [False, True])
def test_memory_takes_what_codecarbon_says(gigabytes, arm):
    own = RAM()
    own.is_arm_cpu = arm
    assert codecarbon_total.ram_watts(gigabytes, arm) == pytest.approx(own._calculate_ram_power(gigabytes))
