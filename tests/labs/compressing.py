"""A pipeline of compressions around a small training."""

from typing import Any

from models.compress.compression import Compression
from models.pipeline import Pipeline
from trainings import parts


def pipeline(tmp_path: Any, *steps: Compression, steps_of_training: int = 40, **changes: Any) -> Pipeline:
    """Checked and ready to fit, with steps called 0, 1, ..."""
    own = parts(tmp_path, steps_of_training, **changes)
    own.pop("loggers")
    named = {str(place): step for place, step in enumerate(steps)}
    return Pipeline(named, own.pop("net"), **own)


def compressed(tmp_path: Any, *steps: Compression, **changes: Any) -> tuple[Any, Pipeline]:
    """The final network, and the pipeline that made it."""
    made = pipeline(tmp_path, *steps, **changes)
    return made.compress(made.fit([]).net), made
