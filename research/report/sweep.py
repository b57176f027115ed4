"""report.md of a sweep of `train.py -m`: which arm is best, how sure that is, and what it cost."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from refusal import Refusal
from research.compose.override import override
from research.metrics import described, quantity, twin, words
from research.page import counted, put
from research.report import cost, pictures
from research.report.answer import repeat
from research.report.arms import ArmNames, Read, arms_table
from research.report.markdown import capital, capped, code, plain, section, table
from research.stats.alpha import even
from research.stats.arms import Arm, between, complaint, joules, method, sound_seeds
from research.stats.claims import Claim
from research.stats.decide import ENOUGH
from research.stats.sentences import difference, method_words
from research.stats.verdicts import PartVerdict
from research.store.spending import lost_joules
from research.store.states import FAILED
from research.store.store import Store
from research.types import Trial

_ALWAYS = ("train/energy_j", "train/seconds", "size/parameters", "infer/latency_s_p50")
_SHOWN = 30
_ALPHA = 0.05


def write(store: Store, sweep: str, folder: Path, ids: Sequence[int] = ()) -> Path:
    """Write report.md of a sweep and its pictures; `ids` are trials of it that were known from before.

    The first arm that was asked for is what the others are compared with. Raises `Refusal` when the database
    has no such sweep, or the folder cannot be written.
    """
    rows = {trial.id: trial for trial in [*store.trials(sweep=sweep), *store.trials(ids=ids)]}
    trials = [rows[number] for number in sorted(rows)]
    if not trials:
        hint = "python agent.py task=list what=trials shows some"
        raise Refusal(f"The database has no sweep {sweep[:80]!a}: {hint}.")
    score = str(trials[0].config.get("score") or "val/accuracy")
    told = {score, twin(score), *_ALWAYS, *pictures.drawn_from([twin(score)])}
    arms = _arms(store, trials, told)
    names = ArmNames(arms[:_SHOWN], base=arms[0] if arms else None)
    drawn = pictures.of_arms(store, arms, [twin(score)], "Sweep", names)
    for one in drawn:
        put(one.svg, folder, one.file)
    with store.read() as connection:
        lost = lost_joules(connection, sweep)
    return put(_text(sweep, arms, trials, score, drawn, names, lost), folder)


def _text(
    sweep: str,
    arms: Sequence[Arm],
    trials: Sequence[Trial],
    score: str,
    drawn: Sequence[pictures.Picture],
    names: ArmNames,
    lost: float,
) -> str:
    """`lost` are the joules of attempts that are in no figure."""
    metric = _judged(arms, score)
    columns = [
        one for one in dict.fromkeys([score, twin(score), *_ALWAYS]) if any(arm.of(one).n for arm in arms)
    ]
    left = len(arms) - _SHOWN
    more = ["", f"{left} more arms are in the database."] if left > 0 else []
    parts = [
        f"# Sweep {plain(sweep)}: which of {len(arms)} arms is best by {plain(metric)}?",
        *_asked(arms, metric),
        *_answer(arms, metric, names),
        *section("Arms", names.table()),
        *section("Figures", [*arms_table(arms[:_SHOWN], columns, names), *more] if arms else []),
        *section("Against the first arm", _compared(arms, metric, names, _line(trials[0]))),
        *pictures.shown(drawn),
        *section("What failed", _failed(trials)),
        *section("What it cost", [*_cost(arms, trials), *cost.lost(lost)]),
        *section("Repeat it", repeat((), arms[:_SHOWN])),
    ]
    return "\n".join(parts) + "\n"


def _arms(store: Store, trials: Sequence[Trial], told: Iterable[str]) -> list[Arm]:
    """Finished trials by their overrides without the seed, in the order of the first trial of each."""
    by_line: dict[tuple[str, ...], list[int]] = {}
    for trial in trials:
        if trial.status == "done":
            by_line.setdefault(_line(trial), []).append(trial.id)
    read = Read(store, [number for ids in by_line.values() for number in ids], trials=trials, keys=told)
    found = [read.arm(line, "person", "ran", ids) for line, ids in by_line.items()]
    failed: dict[tuple[str, ...], dict[int, str]] = {}
    for trial in trials:
        if trial.status in FAILED:
            failed.setdefault(_line(trial), {})[trial.seed] = str(trial.reason)
    for arm in found:
        own = failed.get(arm.overrides, {})
        arm.failures = {seed: why for seed, why in own.items() if seed not in arm.trials}
    return [arm for arm in found if arm.results]


def _line(trial: Trial) -> tuple[str, ...]:
    return tuple(text for text in trial.overrides if override(text).key != "seed")


def _judged(arms: Sequence[Arm], score: str) -> str:
    """The score of the sweep on the test split where the arms have it, else as it was asked for."""
    tested = twin(score)
    return tested if arms and all(arm.of(tested).n for arm in arms) else score


def _asked(arms: Sequence[Arm], metric: str) -> list[str]:
    seeds = {seed for arm in arms for seed in arm.seeds}
    over = "1 seed" if len(seeds) == 1 else f"{len(seeds)} seeds"
    best = f"{plain(metric)} ({words(metric)})"
    return ["", f"Asked was which of {len(arms)} arms is best by {best}, over {over}."]


def _answer(arms: Sequence[Arm], metric: str, names: ArmNames) -> list[str]:
    """The best mean, and whether its difference from the first arm is settled."""
    scored = [arm for arm in arms if arm.of(metric).n]
    if not scored:
        return ["", f"**No answer.** No trial of it measured {plain(metric)}."]
    best = sorted(scored, key=lambda arm: arm.of(metric).mean, reverse=_more(metric))[0]
    told = best.of(metric)
    said = f"{names(best)} has the best mean, {quantity(metric, told.mean)} (n = {told.n})"
    if best is arms[0]:
        return ["", f"**{said}**: it is what the others are compared with below."]
    line = code(" ".join(best.overrides), 2000) if best.overrides else "the defaults"
    return ["", f"**{said}.** {_settled(arms, best, metric)} It is {line}."]


def _settled(arms: Sequence[Arm], best: Arm, metric: str) -> str:
    found = _against(arms, best, metric)
    why = complaint(metric, [arms[0], best])
    if why:
        return plain(why)
    compared = found.comparison
    if compared is None or compared.n < ENOUGH:
        return f"That is not settled: it takes {ENOUGH} seeds in common with the first arm to decide."
    if found.word != "open":
        word = "settled"
    elif compared.low <= 0 <= compared.high:
        word = "not settled, the interval holds no difference too"
    else:
        word = f"not settled, {plain(found.reason)}"
    return f"Its difference from the first arm is {difference(compared)}, n = {compared.n} pairs: {word}."


def _compared(arms: Sequence[Arm], metric: str, names: ArmNames, asked: tuple[str, ...]) -> list[str]:
    """Every arm against the first, the error shared out over them all (Bonferroni).

    `asked` is the arm that was asked for first, which may have no figures.
    """
    count = len(arms) - 1
    if count < 1:
        return []
    said = (
        f"{words(metric)} of each arm minus that of {names(arms[0])}, paired by seed, with the "
        f"{100 * (1 - _ALPHA / count):.4g} % interval: all {count} comparisons together err with a chance of "
        f"at most {_ALPHA:g}. A sweep chooses on the seeds that it was run on: what it finds is a candidate, "
        "which `agent.py` confirms on others."
    )
    if arms[0].overrides != asked:
        line = code(" ".join(asked), 2000) if asked else "the defaults"
        said += (
            f" Asked for first was {line}, which has no figures; {names(arms[0])} is the first that has some."
        )
    rows = [[names(arm), *_row(arms, arm, metric)] for arm in arms[1:_SHOWN]]
    return [capital(said), "", *table(["arm", "n", "difference", "word"], rows)]


def _row(arms: Sequence[Arm], arm: Arm, metric: str) -> list[str]:
    found, why = _against(arms, arm, metric), complaint(metric, [arms[0], arm])
    compared = found.comparison
    n = compared.n if compared else 0
    told = plain(why) if why else "-" if compared is None or not n else difference(compared)
    return [str(n), told, "settled" if found.word != "open" and not why else "open"]


def _against(arms: Sequence[Arm], arm: Arm, metric: str) -> PartVerdict:
    """Whether an arm is better or worse than the first, at its share of the error rate.

    They are compared over the seeds that both were given: a person need not give each arm the same. One
    that failed leaves it open, for it rarely fails by chance.
    """
    asked = [{*one.seeds, *one.failures} for one in (arms[0], arm)]
    lost = {*arms[0].failures, *arm.failures} & asked[0] & asked[1]
    seeds = sorted({*sound_seeds(metric, arms[0], arm), *lost}) if lost else None
    better = Claim.improvement(metric, "max" if _more(metric) else "min").first
    return between(better, arms[0], arm, even(_ALPHA / max(1, len(arms) - 1)), seeds)


def _more(metric: str) -> bool:
    known = described(metric)
    return known is None or known.better == "max"


def _failed(trials: Sequence[Trial]) -> list[str]:
    lines = [
        f"- {code(' '.join(trial.overrides))}: {plain(str(trial.reason).split(' [printed:')[0])}"
        for trial in trials
        if trial.status in FAILED
    ]
    return capped(lines, 10, "trials that failed")


def _cost(arms: Sequence[Arm], trials: Sequence[Trial]) -> list[str]:
    counts = Counter(trial.word for trial in trials)
    seconds = sum(trial.finished - trial.started for trial in trials if trial.finished is not None)
    told = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    spent = quantity("train/energy_j", joules(arms))
    lines = [f"- {counted(len(trials), 'trial')} ({told}), {seconds:.1f} s one after another"]
    if any(arm.of("train/energy_j").n for arm in arms):
        lines.append(f"- {spent} for the training of those that are done ({method_words(method(arms))})")
    return lines
