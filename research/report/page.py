"""A report on disk: whole or not at all."""

from pathlib import Path

from refusal import Refusal


def put(text: str, folder: Path) -> Path:
    """Write `report.md` in `folder`, which is made; `Refusal` when it cannot be written."""
    path = folder / "report.md"
    beside = path.with_suffix(".md.new")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        beside.write_text(text)
        beside.replace(path)
    except OSError as error:
        raise Refusal(
            f"{folder} cannot be written ({error.strerror}): choose another root=FOLDER."
        ) from error
    return path
