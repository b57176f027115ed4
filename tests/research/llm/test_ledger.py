"""The ledger: nothing passes a cap, unknown is not free, and what was held is given back."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refusal import Refusal
from research.llm.ledger import CapReached, LlmCaps, LlmLedger, LlmSpent, tally
from research.llm.price import Rate, TokenPrice, Usage

PRICE = Rate(TokenPrice(input=1.0, output=4.0))
UNKNOWN = Rate()


def test_a_call_is_reserved_at_its_bound_and_settled_at_its_use() -> None:
    ledger = LlmLedger(LlmCaps(calls=2, tokens=1000))
    ticket = ledger.reserve(400, 500, PRICE)
    with pytest.raises(CapReached, match=r"0 of its 1000 tokens|900 of its 1000 tokens") as stop:
        ledger.reserve(50, 51, PRICE)
    assert stop.value.cap == "tokens" and "llm.caps.tokens" in str(stop.value)
    ledger.settle(ticket, Usage(100, 50), 1.5)
    assert ledger.spent == LlmSpent(1, 100, 50, pytest.approx(300e-6), None, 1.5, unknown_calls=1)
    ledger.settle(ledger.reserve(400, 400, PRICE), Usage(1, 1), 0.5)
    with pytest.raises(CapReached) as stop:
        ledger.reserve(1, 1, PRICE)
    assert stop.value.cap == "calls"


def test_dollars_are_capped_before_the_call() -> None:
    ledger = LlmLedger(LlmCaps(dollars=0.01))
    with pytest.raises(CapReached) as stop:
        ledger.reserve(2001, 2000, PRICE)
    assert stop.value.cap == "dollars"
    ledger.settle(ledger.reserve(2000, 2000, PRICE), Usage(2000, 2000), 0.0)
    assert ledger.spent.dollars == pytest.approx(0.01)


def test_unknown_is_not_free() -> None:
    with pytest.raises(Refusal, match=r"llm\.price\.input"):
        LlmLedger(LlmCaps(dollars=1.0)).admit("openai/m", UNKNOWN)
    with pytest.raises(Refusal, match=r"llm\.token_joules"):
        LlmLedger(LlmCaps(joules=100.0)).admit("openai/m", PRICE)
    with pytest.raises(CapReached):  # nor does it pass where nobody asked whether it may
        LlmLedger(LlmCaps(joules=100.0)).reserve(1, 1, PRICE)
    ledger = LlmLedger(LlmCaps(calls=5))
    ledger.admit("openai/m", UNKNOWN)
    assert (ledger.spent.dollars, ledger.spent.joules) == (0.0, 0.0)
    ledger.settle(ledger.reserve(10, 10, UNKNOWN), Usage(0, 0), 0.1)
    assert (ledger.spent.dollars, ledger.spent.joules) == (0.0, 0.0)
    cost = ledger.settle(ledger.reserve(10, 10, UNKNOWN), Usage(5, 5), 0.1)
    assert (cost.dollars, cost.joules) == (None, None) == (ledger.spent.dollars, ledger.spent.joules)
    ledger.settle(ledger.reserve(10, 10, PRICE), Usage(5, 5), 0.1)
    assert ledger.spent.dollars is None


def test_joules_are_counted_where_an_estimate_is_given() -> None:
    measured = Rate(PRICE.price, token_joules=2.0, known_as="openai/gpt-5.4-mini")
    ledger = LlmLedger(LlmCaps(joules=100.0))
    cost = ledger.settle(ledger.reserve(10, 50, measured), Usage(10, 45), 0.1)
    assert cost.energy is not None and cost.energy.method == "llm.token_joules of the config"
    assert ledger.spent.joules == 90.0
    with pytest.raises(CapReached, match="joules"):
        ledger.reserve(1, 6, measured)


def test_joules_that_ecologits_estimates_are_held_and_counted_at_their_upper_end() -> None:
    rate = Rate(known_as="openai/gpt-5.4-mini")
    bound = rate.energy(Usage(0, 1000))
    assert bound is not None
    ledger = LlmLedger(LlmCaps(joules=bound.high_j))
    cost = ledger.settle(ledger.reserve(9, 1000, rate), Usage(9, 500), 2.0)
    assert cost.energy is not None and 0 < cost.energy.low_j < cost.energy.high_j < bound.high_j
    assert ledger.spent.joules == cost.joules == cost.energy.high_j
    with pytest.raises(CapReached, match="joules"):
        ledger.reserve(1, 600, rate)


def test_what_was_spent_before_is_told_by_the_rows() -> None:
    row = {
        "outcome": "accepted",
        "tokens_in": 5,
        "tokens_out": 7,
        "dollars": 0.5,
        "joules": 3.0,
        "seconds": 1.0,
    }
    rows = [
        row | {"facts": {}},
        row | {"outcome": "failed: timeout", "facts": {"tokens_estimated": True}},
        {
            **row,
            "outcome": "cached",
            "tokens_in": 0,
            "tokens_out": 0,
            "dollars": 0.0,
            "joules": 0.0,
            "facts": {},
        },
    ]
    assert tally(rows) == LlmSpent(2, 10, 14, 1.0, 6.0, 3.0, 1, known_joules=6.0)
    assert tally([]) == LlmSpent(dollars=0.0, joules=0.0)
    some = tally([*rows, row | {"joules": None, "facts": {}}])
    assert some.joules is None and (some.known_joules, some.unknown_calls) == (6.0, 1)
    ledger = LlmLedger(LlmCaps(joules=9.0), already=tally([row | {"joules": None, "facts": {}}]))
    with pytest.raises(CapReached):
        ledger.reserve(0, 1, Rate(token_joules=1.0))


def test_an_interrupted_campaign_goes_on_counting() -> None:
    before = LlmSpent(calls=2, tokens_in=7, dollars=0.5)
    ledger = LlmLedger(LlmCaps(calls=3), already=before)
    ledger.settle(ledger.reserve(1, 1, PRICE), Usage(1, 1, estimated=True), 0.0)
    assert (ledger.spent.calls, ledger.spent.tokens_in) == (3, 8)
    with pytest.raises(CapReached):
        ledger.reserve(1, 1, PRICE)


def test_a_cap_of_zero_lets_nothing_through() -> None:
    for caps in (LlmCaps(calls=0), LlmCaps(tokens=0), LlmCaps(dollars=0)):
        with pytest.raises(CapReached):
            LlmLedger(caps).reserve(1, 1, PRICE)


RATES = (
    Rate(PRICE.price, token_joules=2.0),
    Rate(TokenPrice(input=9.0, output=90.0), known_as="openai/gpt-5.4-mini"),
    Rate(TokenPrice(input=0.0, output=0.0), known_as="mistralai/mistral-small-latest"),
)
CALL = st.tuples(
    st.integers(0, 500), st.integers(0, 500), st.floats(0, 1), st.booleans(), st.sampled_from(RATES)
)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 3000), st.lists(CALL, max_size=10))
def test_no_order_of_calls_to_any_models_passes_a_cap(
    cap: int, calls: list[tuple[int, int, float, bool, Rate]]
) -> None:
    caps = LlmCaps(tokens=cap, dollars=cap * 4e-6, joules=float(cap))
    ledger, waiting = LlmLedger(caps), []
    for tokens_in, tokens_out, share, at_once, rate in calls:
        try:
            ticket = ledger.reserve(tokens_in, tokens_out, rate)
        except CapReached:
            continue
        waiting.append((ticket, Usage(int(tokens_in * share), int(tokens_out * share))))
        if at_once:
            ledger.settle(*waiting.pop(), 3.0 * share)
    for ticket, usage in waiting:
        ledger.settle(ticket, usage, 0.5)
    assert ledger.spent.tokens_in + ledger.spent.tokens_out <= cap
    assert ledger.spent.dollars is not None and ledger.spent.dollars <= caps.dollars + 1e-12
    assert ledger.spent.joules is not None and ledger.spent.joules <= caps.joules + 1e-9


def test_threads_share_a_cap() -> None:
    ledger = LlmLedger(LlmCaps(calls=50))
    stopped = []

    def work() -> None:
        for _ in range(20):
            try:
                ledger.settle(ledger.reserve(1, 1, PRICE), Usage(1, 1), 0.0)
            except CapReached:
                stopped.append(1)

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.spent.calls == 50 and len(stopped) == 50
