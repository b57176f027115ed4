"""What a campaign cost, the language model included, and what was not spent because something stopped it."""

from research.metrics import quantity
from research.report.findings import Cost, Findings
from research.report.payback import payback
from research.stats.arms import method
from research.stats.sentences import method_words


def cost(found: Findings) -> list[str]:
    """The lines of the section."""
    spent = found.cost()
    how = method_words(method(found.arms("screened")))
    joules = quantity("train/energy_j", spent.joules)
    return [
        f"- {spent.trials} trials trained to their end, {spent.stopped} stopped early, "
        f"{spent.failed} failed, {spent.known} known from before",
        f"- {joules} for the training of all its trials ({how}; what their evaluation and the lab's own "
        "processes took is not in it)",
        f"- {spent.seconds:.1f} s by the clock for {_runs(found)}",
        *_stepped(spent),
        *model(spent),
        *_saved(found, how),
        *payback(found, spent.joules + spent.model_joules, whole=not spent.model_unknown),
    ]


def _stepped(spent: Cost) -> list[str]:
    if spent.stepped is None:
        return []
    return [
        f"- steps {spent.stepped:.0%} of the CPU seconds of its trials' processes; the rest is their harness"
    ]


def model(spent: Cost) -> list[str]:
    """What the language model cost; nothing where none was asked."""
    if not spent.calls:
        return []
    dollars = "an unknown price" if spent.dollars is None else f"${spent.dollars:.4f}"
    calls = "1 call" if spent.calls == 1 else f"{spent.calls} calls"
    told = f"{calls} of the language model, {spent.tokens} tokens, {dollars}"
    return [f"- {told}; {model_joules(spent)}"]


def model_joules(spent: Cost) -> str:
    """The model's joules: always an estimate, and unknown rather than none where nobody knows."""
    known = spent.calls - spent.model_unknown
    calls = "1 call" if known == 1 else f"{known} calls"
    if not known:
        return "its joules are unknown, so they are in no sum"
    each = quantity("train/energy_j", spent.model_joules)
    if not spent.model_unknown:
        return f"its joules are an estimate: {each}"
    return f"its joules are an estimate: {each} for {calls}, unknown for the other {spent.model_unknown}"


def _runs(found: Findings) -> str:
    """A command that was killed and typed again has no clock of its own for what was before."""
    return "this run of the command" if len(found.runs) == 1 else "the last run of the command"


def _saved(found: Findings, how: str) -> list[str]:
    """Early stopping and predicted failures, where a sprint tells of them."""
    lines = []
    stopped, joules = found.total("pruned", "trials"), found.total("pruned", "joules_saved")
    if stopped is not None and joules is not None:
        saved = quantity("train/energy_j", joules)
        trials = "1 trial" if stopped == 1 else f"{stopped:.0f} trials"
        lines.append(f"- early stopping ended {trials} and saved {saved} ({how}; what was left of each)")
        lines += _audited(found) if stopped else []
    refused, false = found.total("predicted", "refused"), found.total("predicted", "false")
    if refused:
        checked = "none of them was run to see" if false is None else f"{false:.0f} of them would have run"
        lines.append(f"- {refused:.0f} proposals were refused because their failure was predicted; {checked}")
    return lines


def _audited(found: Findings) -> list[str]:
    """How often early stopping was wrong, by those of the stopped that were trained to their end."""
    audited, wrong = found.total("pruned", "audited"), found.total("pruned", "wrong")
    if not audited:
        return ["- none of the stopped was trained to its end to see whether that was right"]
    trials = "1 of the stopped was" if audited == 1 else f"{audited:.0f} of the stopped were"
    come = "none could have won" if not wrong else f"{wrong:.0f} could have won, and went on as candidates"
    return [f"- {trials} trained to the end to see whether that was right: {come}"]
