"""A metric's value as people read it, with its unit: `1.9 kB`, `0.42 ms`, `12.3 J`."""

import math

_PREFIXES = (
    (1e12, "T"),
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1.0, ""),
    (1e-3, "m"),
    (1e-6, "µ"),
    (1e-9, "n"),
)
_UNITS = (
    ("energy_j_per_sample", "J"),
    ("energy_j", "J"),
    ("energy_standing_j", "J"),
    ("co2_kg", "g"),
    ("per_second", "/s"),
    ("seconds", "s"),
    ("latency_s", "s"),
    ("bytes", "B"),
    ("flops", "FLOP"),
)


def quantity(key: str, value: float) -> str:
    """Return a value in its metric's unit with three significant digits; shares get four decimals."""
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite"
    ratio = key.endswith(("ratio", "speedup", "speedup_single"))
    unit = "" if ratio else next((unit for part, unit in _UNITS if part in key), "")
    if unit == "g":
        value *= 1000.0
    if not unit and not any(count in key for count in ("parameters", "nonzeros", "steps_to")):
        return f"{value:.4f}"
    factor, prefix = _prefix(abs(value))
    return f"{value / factor:.3g} {prefix}{unit}".strip() if unit or prefix else f"{value:.0f}"


def _prefix(size: float) -> tuple[float, str]:
    if size == 0:
        return 1.0, ""
    return next(((factor, name) for factor, name in _PREFIXES if size >= factor), (1e-9, "n"))
