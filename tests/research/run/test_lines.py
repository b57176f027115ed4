"""The panel of a trial: what is told of it, line by line."""

from typing import Any

from research.run.lines import rows

ANSWER: dict[str, Any] = {
    **{"trial_id": 1, "status": "done", "metrics": {"test/accuracy": 0.9}},
    **{"facts": {}, "folder": "/nowhere"},
}


def told(**facts: Any) -> dict[str, str]:
    return dict(rows(ANSWER | {"facts": facts}, []))


def test_classes_are_told_by_name_the_weakest_first() -> None:
    line = told(classes=list("abcdefg"), f1_per_class=[1, 0.5, 0.9, 0.25, 1, 1, 1])["classes"]
    assert line == "d F1 0.25   b F1 0.50   c F1 0.90   a F1 1.00   e F1 1.00   and 2 more"
    assert told(classes=["a", "b"], f1_per_class=[1, 0.5])["classes"] == "b F1 0.50   a F1 1.00"


def test_classes_without_names_are_not_told() -> None:
    assert "classes" not in told() and "classes" not in told(f1_per_class=[1, 0.5])
