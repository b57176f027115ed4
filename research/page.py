"""A report on disk: each of its files whole or not at all."""

from pathlib import Path

from refusal import Refusal


def put(text: str, folder: Path, name: str = "report.md") -> Path:
    """Write a file of a report in `folder`, which is made; `Refusal` when it cannot be written."""
    path = folder / name
    beside = path.with_name(f"{name}.new")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise Refusal(
            f"{folder} cannot be written ({error.strerror}): choose another root=FOLDER."
        ) from error
    return path
