"""What was tried: who proposed, what was refused, dropped or failed and why, what reviewers said."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from research.metrics import quantity
from research.report.findings import Findings, Row, harness
from research.report.markdown import capped, code, plain, table
from research.stats.sentences import stopped
from research.types import ProposalFacts, SprintFacts

_ENDS = ("ran", "repeat", "refused", "dropped", "failed", "stopped", "interrupted", "waiting")
_SELDOM = ("dropped", "waiting")
"""ends that have a column only where there are any"""
_REASONS = 5
_UNASKED = "nothing was recalled for a model; what it refused is told with the cost"
_REVIEWS = 12


def proposers(found: Findings) -> list[str]:
    """A row for each proposer, then the most frequent reasons."""
    counts = found.counts()
    shown = [name for name in _ENDS if name not in _SELDOM or any(ended[name] for ended in counts.values())]
    turns = _turns(found)
    heads = ["proposer", "proposed", *shown, *["gain per joule"] * bool(turns)]
    rows = []
    for name, ended in sorted(counts.items()):
        gain = [turns.get(name, "-")] * bool(turns)
        rows.append([plain(name), str(sum(ended.values())), *(str(ended[one]) for one in shown), *gain])
    more = [*_asked(found), *refused(found)]
    return [*table(heads, rows), *(["", *more] if more else [])] if rows else []


def refused(found: Findings) -> list[str]:
    """Why proposals came to nothing, the most frequent reasons of each kind first."""
    lines = []
    for status in ("refused", "dropped", "failed", "stopped"):
        reasons = found.reasons(status).most_common()
        told = [f"- {status} {count} x: {plain(_short(reason, status), 240)}" for reason, count in reasons]
        lines += capped(told, _REASONS, f"reasons for which proposals were {status}")
    return lines


def _short(reason: str, status: str) -> str:
    """What was stopped has nothing to look up in its log, and says its status already."""
    return stopped(reason) or reason if status == "stopped" else reason


def reviews(found: Findings) -> list[str]:
    """What reviewers said, and how many of them were no model."""
    if not found.reviews:
        return []
    stand_ins = sum(_by(row) != "model" for row in found.reviews)
    left = len(found.reviews) - _REVIEWS
    more = f"; {left} of them are only in the database" if left > 0 else ""
    said = f"{len(found.reviews)} reviews, {stand_ins} of them by a statistical stand-in{more}."
    return [said, "", *review_table(found.reviews, found)]


def review_table(given: Sequence[Row], found: Findings) -> list[str]:
    """A row for each review, those of dropped proposals first; the first dozen of them."""
    by_id = {row["id"]: row for row in found.rows}
    order = sorted(given, key=lambda row: (by_id[row["proposal_id"]]["status"] != "dropped", row["id"]))
    heads = ["experiment", "proposal", "score", "round", "by", "ended", "first reason"]
    rows = [_review(row, by_id[row["proposal_id"]]) for row in order[:_REVIEWS]]
    return table(heads, rows) if rows else []


def sprints(found: Findings) -> list[str]:
    """One row for each sprint: how it ended, what it judged, how its time was used."""
    boxed = ["discuss / implement / validate"] * any(SprintFacts.of(row).boxes for row in found.sprints)
    heads = ["sprint", "status", "proposals", "judged", "seconds", *boxed]
    rows = []
    for row in found.sprints:
        own = [one for one in found.experiments if one["sprint_id"] == row["id"] and not harness(one)]
        words = [one["word"] for one in found.found if one["sprint_id"] == row["id"]]
        judged = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words)) or "nothing"
        facts = SprintFacts.of(row)
        told = [str(facts.number), plain(row["status"]), str(len(own)), judged]
        rows.append([*told, f"{found.seconds(row):.1f}", *[_boxes(facts.boxes)] * len(boxed)])
    return table(heads, rows)


def team(found: Findings) -> list[str]:
    """How the questions to each role ended, and why one was last silent; nothing without a team."""
    lines = []
    for row in found.sprints:
        told = SprintFacts.of(row).team
        ends = told.get("outcomes")
        for role, counts in (ends or {}).items():
            words = ", ".join(f"{count} {plain(end, 40)}" for end, count in counts.items())
            lines.append(f"- sprint {SprintFacts.of(row).number}, {plain(role, 40)}: {words}")
        if ends and told.get("silence"):
            silence = told["silence"] if isinstance(told["silence"], Mapping) else {"last": told["silence"]}
            lines += [f"- {plain(role, 40)} silent because: {plain(why)}" for role, why in silence.items()]
        left_out = told.get("left_out") or {}
        lines += [
            f"- {plain(role, 40)}, used all the same: {plain(why)} ({count} x)"
            for role, notes in left_out.items()
            for why, count in notes.items()
        ]
    return capped(lines, 4 * _REASONS, "lines of this kind")


def own_claims(found: Findings) -> list[str]:
    """What proposals said of themselves, as judged, and what could not be judged is not told."""
    lines = []
    for row in found.experiments:
        if told := row["facts"].get("tested"):
            arm, word = code(" ".join(row["proposal"].overrides), 120), told["word"]
            ends = {"supported": "is refuted", "refuted": "stands"}
            end = f", so it {ends[word]} by its own word" if word in ends else ""
            lines.append(
                f"- {arm} against {code(told['against'], 120)}, {plain(told['claim'])}: {plain(word)}{end} "
                f"({plain(told['reason'], 240)})"
            )
    return capped(lines, 4 * _REASONS, "claims of proposals")


def memory(found: Findings) -> list[str]:
    """What was recalled from earlier work, where a sprint had memory at hand."""
    lines = []
    for row in found.sprints:
        told = SprintFacts.of(row).memory
        if told.get("mode", "off") != "off":
            recalled = told.get("recalled") or []
            shown = ", ".join(plain(one, 40) for one in recalled[:20])
            rest = f" and {len(recalled) - 20} more" if len(recalled) > 20 else ""
            some = f"{len(recalled)} episodes were recalled ({shown}{rest})" if recalled else _UNASKED
            lines.append(f"- memory={plain(told['mode'], 20)}: {some}")
    return list(dict.fromkeys(lines))


def read(found: Findings) -> list[str]:
    """What literature was looked up and what failed, and which sources and trials proposals rest on."""
    lines = []
    for row in found.sprints:
        told = SprintFacts.of(row).literature
        if told:
            where, asked = plain(told.get("literature", ""), 80), _number(told.get("asked"))
            alone = "; it is read for a language model, and there was none"
            alone = "" if found.interactions or asked else alone
            lines.append(f"- sprint {SprintFacts.of(row).number}: questions to {where}: {asked:.0f}{alone}")
            lines += [f"- {plain(note)}" for note in told.get("notes") or []]
    cited = Counter(cite for row in found.experiments for cite in row["proposal"].cites)
    if cited:
        shown = ", ".join(f"{plain(name, 80)} ({count})" for name, count in cited.most_common(_REVIEWS))
        lines.append(f"- cited, and by how many proposals: {shown}")
    return capped(list(dict.fromkeys(lines)), 4 * _REASONS, "lines of this kind")


def _review(row: Row, experiment: Row) -> list[str]:
    content = row["content"] or {}
    reasons = content.get("reasons") or []
    score = "-" if row["score"] is None else f"{row['score']:.1f}"
    rounds = ProposalFacts.of(experiment).review.get("round", "")
    proposal = code(" ".join(experiment["proposal"].overrides), 120)
    return [
        str(row["proposal_id"]),
        proposal,
        score,
        plain((row["facts"] or {}).get("round", rounds), 10) or "-",
        "model" if _by(row) == "model" else "stand-in",
        plain(experiment["status"], 20),
        plain(reasons[0], 160) if reasons else "-",
    ]


def _by(row: Row) -> str:
    return str((row["content"] or {}).get("by", "stand-in"))


def _told_turns(found: Findings) -> Mapping[str, Mapping[str, float]]:
    """What the last sprint that tells of it says of each proposer's turns."""
    told = (SprintFacts.of(row).turns for row in reversed(found.sprints))
    return next(filter(None, told), {})


def _turns(found: Findings) -> dict[str, str]:
    """Proposer -> gain per joule as the bandit learnt it, by the last sprint that tells of it."""
    records = _told_turns(found)
    paid = {name: (_number(one.get("gain")), _number(one.get("joules"))) for name, one in records.items()}
    return {name: f"{gain / joules:.2g}" for name, (gain, joules) in paid.items() if joules > 0}


def _asked(found: Findings) -> list[str]:
    """What of the model's own joules its gain per joule holds; unknown ones are told, not taken as none."""
    lines = []
    for name, one in _told_turns(found).items():
        asked, unknown = (_number(one.get(key)) for key in ("asked", "unknown"))
        if asked:
            each = quantity("train/energy_j", asked)
            lines.append(
                f"- {plain(name)}: its joules hold {each} that its questions to the model are estimated at"
            )
        if unknown:
            calls = "1 call" if unknown == 1 else f"{unknown:.0f} calls"
            lines.append(
                f"- {plain(name)}: its gain per joule is without the model's own, unknown joules of {calls}"
            )
    return lines


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _boxes(boxes: Mapping[str, Any]) -> str:
    if not boxes:
        return "-"
    told = [boxes.get(name) or {} for name in ("discuss", "implement", "validate")]
    return " / ".join(
        f"{_number(one.get('used_s')):.0f} of {_number(one.get('limit_s')):.0f} s" for one in told
    )
