"""What a row says beside its columns: read from rows of any version, written as far as it is set."""

from research.types import Constraint, Objective, ProposalFacts, SprintFacts


def test_a_row_of_another_version_has_the_defaults_of_what_it_does_not_say() -> None:
    row = {"facts": {"campaign": "c", "notes": None, "shortest": None, "of_a_later_version": 1}}
    assert SprintFacts.of(row) == SprintFacts(campaign="c")
    assert ProposalFacts.of({"facts": {}}).reasons == () and ProposalFacts.of({"facts": {}}).carried is None


def test_what_is_not_set_is_not_written_and_what_is_written_is_read_again() -> None:
    facts = SprintFacts(campaign="c", number=2, shortest=None, pruned={"trials": 3}, notes=("n",))
    assert facts.written() == {
        "campaign": "c",
        "number": 2,
        "shortest": None,
        "pruned": {"trials": 3},
        "notes": ("n",),
    }
    assert SprintFacts.of({"facts": facts.written()}).written() == {
        key: value for key, value in facts.written().items() if value is not None
    }


def test_a_plain_bound_is_written_as_it_always_was() -> None:
    """Names of campaigns and recipes are digests of it: a command typed again finds what it left."""
    plain = Constraint(metric="test/accuracy", op=">=", bound=0.9)
    asked = Objective(metric="train/energy_j", direction="min", constraints=(plain,))
    old = {"metric": "test/accuracy", "op": ">=", "bound": 0.9}
    assert plain.model_dump() == old and asked.model_dump(mode="json")["constraints"] == [old]
    near = plain.model_copy(update={"bound": -0.01, "of_control": "difference"})
    assert near.model_dump() == {**old, "bound": -0.01, "of_control": "difference"}
    assert Constraint.model_validate(near.model_dump()) == near and Constraint.model_validate(old) == plain
