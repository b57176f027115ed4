"""Short names of arms, and the one table that says what each does otherwise than the control."""

from pathlib import Path

from report_tables import WIDTH, narrowest, tables
from research.report.arms import ArmNames
from research.report.markdown import table
from research.stats.arms import Arm

TEACHER = "compress.distill.teacher.recipe=['data=pytext','model=gpt','budget.steps=1000']"


def arm(line: str, status: str = "ran", stopped: bool = False) -> Arm:
    return Arm(tuple(line.split()), status=status, facts={"stopped": True} if stopped else {})


def test_arms_have_letters_in_their_order_and_keep_them() -> None:
    control, other = arm("", "control"), arm("optimizer=lion")
    stopped = arm("budget.steps=40", "control", stopped=True)
    names = ArmNames([control, stopped, other, arm("model.width=64")])
    assert [names(one) for one in (control, stopped, other)] == ["control", "control, stopped", "A"]
    assert names(arm("optimizer=lion", "screened")) == "A" and names(arm("seed=1")) == "C"
    assert names.line("model.width=64") == "B" and names.line("a=1 b=2") == "`a=1 b=2`"
    many = ArmNames(arm(f"a={at}") for at in range(60))
    assert [many(arm(f"a={at}")) for at in (25, 26, 52)] == ["Z", "AA", "BA"]


def test_what_a_sprint_confirmed_as_the_next_control_is_told_apart_from_the_first() -> None:
    names = ArmNames([arm("", "control"), arm("budget.steps=900", "supported")])
    assert names(arm("budget.steps=900", "control")) == "control A"
    assert names(arm("", "control")) == "control"


def test_the_table_says_what_each_does_otherwise() -> None:
    control = arm("optimizer=adamw loss=ce", "control")
    arms = ["optimizer=lion loss=ce", "loss=ce", "optimizer=adamw x=1"]
    found = tables("\n".join(ArmNames([control, *map(arm, arms)]).table()))[0]
    assert found[0] == ["arm", "differs from the control by"]
    assert [row[1] for row in found[1:]] == [
        "nothing (`optimizer=adamw loss=ce`)",
        "`optimizer=lion`",
        "without `optimizer=adamw`",
        "`x=1` without `loss=ce`",
    ]
    sweep = [arm("optimizer=adam"), arm("optimizer=sgd")]
    assert tables("\n".join(ArmNames(sweep, base=sweep[0]).table()))[0][0][1] == "differs from A by"


def test_a_legend_tells_soft_labels_from_hard_ones() -> None:
    """The overrides of both begin with the same hundred letters, which is all that a legend had shown."""
    soft = arm(f"compress=[distill] {TEACHER} compress.distill.labels=soft compress.distill.temperature=1")
    hard = arm(f"compress=[distill] {TEACHER} compress.distill.labels=hard")
    longer, control = arm("compress=[] budget.steps=540"), arm("compress=[]", "control")
    names = ArmNames([control, soft, hard, longer])
    told = [names.legend(one) for one in (control, soft, hard, longer)]
    assert told == ["control", "A: labels=soft temperature=1", "B: labels=hard", "C: steps=540"]


def test_a_table_that_a_telephone_cannot_show_is_several_with_the_first_column(tmp_path: Path) -> None:
    heads = ["arm", *(f"figure{at}" for at in range(9)), "a long head of short words"]
    lines = table(heads, [["A", *map(str, range(9)), "x"], ["control", *map(str, range(9)), "y"]])
    parts = tables("\n".join(lines))
    assert len(parts) > 2 and all(narrowest(part) <= WIDTH for part in parts)
    assert all([row[0] for row in part] == ["arm", "A", "control"] for part in parts)
    assert [cell for part in parts for cell in part[0][1:]] == heads[1:]
    wide = table(["a", "b"], [["x" * 200, "y" * 200]])
    assert len(tables("\n".join(wide))) == 1, "two columns stay together"
    assert table(["a", "b"], []) == ["| a | b |", "|---|---|"]


def test_what_was_decided_of_an_arm_stands_beside_it() -> None:
    names = ArmNames([arm("", "control"), arm("a=1", "supported"), arm("a=2", "screened")])
    told = [row[1] for row in tables("\n".join(names.table()))[0][1:]]
    assert told == ["nothing", "`a=1`, supported", "`a=2`"]
    kept = ArmNames().reserve([arm("a=1"), arm("a=2")])
    assert kept(arm("a=2")) == "B" and len(tables("\n".join(kept.table()))[0]) == 2, "A was not told of"
