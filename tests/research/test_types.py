"""What a row says beside its columns: read from rows of any version, written as far as it is set."""

from research.types import ProposalFacts, SprintFacts


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
