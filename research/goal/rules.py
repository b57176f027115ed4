"""The grammar of goals: patterns over the signs of `lexicon.py`, in the order in which they are tried."""

import re
from collections.abc import Sequence
from typing import NamedTuple, final

from research.goal import figures
from research.goal import phrases as says
from research.goal.lexicon import Lexeme, signs
from research.goal.meanings import Matched
from research.goal.phrases import Rule, because
from research.goal.saying import EXCLUDED, NOT, RANGE, Meaning, Wish

_TRAIL = "(?:[gl](?![qfxmcRN]))?"
"""`20 J at most`"""
_COMPARED = f"(?:(?:hcm?|hom|jcm?|[io]c){_TRAIL})?"
"""`... than the baseline`"""
_UNBOUNDED = "(?![=kio]*[gl]?[=o]*q)"
_BARE = "(?![=ko]*[gl]?[=o]*q)"
"""a metric that no figure bounds"""
_SAME = (
    r"j?[eduaA][oi]*m?jc|n[ios]*ahc|k[gl]?qo+m|[gl](?:cm?|moc)|[bz]hcm?|kjc|kc|mk" + _UNBOUNDED
    + r"|k[oi]*c?m" + _UNBOUNDED + r"|n[ios]*[ZzYDdHUu][oi]*m?|nm[ZzD]"
)  # fmt: skip
"""`same accuracy`, `as accurate as the control`, `without losing accuracy`: no figure"""


_RULES: tuple[tuple[str, Rule], ...] = (
    (r"n[ios]*N", because(EXCLUDED)),
    (r"m?q?Rq?m?|[gl]?qtqm?", because(RANGE)),
    (r"(?:g|Bi|Bg)cm?yq(?:o?m)?", says.beaten),
    (r"m?(?:n[zdu]hcm?yg|[zdu]hcm?yl)q(?!o?m)", says.apart_from_control),
    (r"m[gl=]xc", says.times_control),
    (r"m[gl]cy[qf](?!o?m)", says.apart_by),
    (r"m[gl]c(?:[-+]q(?!o?m))?", says.typed_bound),
    (r"(?:[km][iok=m]*)?[gl]?qo+cm?", says.beside_control),
    (r"m?[=o]?[gl]?q[gl]c(?:m|[oi]+m" + _BARE + ")?", says.off_control),
    (r"m[=ok]*[gl]?[fx]o*c|[gl]?xo*cm" + _TRAIL, says.times_control),
    (r"p?m?[gl]?[fx]j[eduaA](?:[oi]*m" + _BARE + ")?(?:jcm?)?", says.as_much),
    (r"[gl]?[qfx]o?m(?:[YH](?!m)|D(?![oi]*[mp]))" + _TRAIL + _COMPARED, says.change),
    (r"[gl]?qo?mZ(?![oi]*[mp]|[o=y]*[gl][qfx]|[oy]+[qfx])" + _TRAIL + _COMPARED, says.change),
    (r"[gl]?[qfx]a(?:[oi]*m" + _BARE + ")?" + _TRAIL + _COMPARED, says.change),
    (r"[gl]?[qfx][bz]hc[oi]+m" + _BARE, says.change),
    (r"[gl]?[qfx][duzb][oi]*m?" + _TRAIL + _COMPARED, says.change),
    (r"[gl]?[qfx][oi]*(?:[YHZ](?:[oi]+m|m" + _BARE + "|z)?|D[oi]+m)" + _TRAIL + _COMPARED, says.change),
    (r"[gl]?[qfx][pm]a" + _TRAIL + _COMPARED, says.change),
    (r"[mp][gl]?[qfx][duazbYH](?![oi]*m)" + _TRAIL + _COMPARED, says.change),
    (r"[mp][eduDU]o?t[gl]?[qfx](?:o*c)?(?!o?m)" + _TRAIL, says.to_level),
    (r"[DUBduYH][oi]*mt[gl]?[qfx](?:o*c)?(?!o?m)" + _TRAIL, says.to_level),
    (r"mt[fxq](?:o*c)?(?!o?m)", says.down_to),
    (r"(?:[dDuUBba][oi]*m|m[duDUBba]|a)q(?![oi]*[mcduzabYHZ]|[gl]c)", says.by_or_above),
    (r"[DUB][oi]*m[gl]?q(?![oi]*m)", says.by_figure),
    (r"mZt[gl]?q", says.fallen),
    (r"(?:m[DUBduYHZzba][oiN]*|[DUBduYHZzba][oi]*[mp][oiN]*)y[gl]?[qfx]" + _TRAIL + _COMPARED, says.change),
    (r"[DUBduYHZzba][oi]*y[gl]?[qfx](?:[oi]*m)?" + _TRAIL + _COMPARED, says.change),
    (r"p?aN*[yo][gl]?[qfx]" + _TRAIL + _COMPARED, says.change),
    (r"(?:m[ZYH]|[ZYH][oi]*m|mD(?=o))[o=]*[gl]?[qfx]" + _TRAIL, says.change),
    (r"[gl](?:m[ZYH]|[ZYH][oi]*m)[o=t]*[qfx]", says.change),
    (r"[ZYH][o=]*[gl]?[qfx](?:[oi]*m)?" + _TRAIL, says.change),
    (r"(?:mD|[DUBa][oi]*m?)[gl]?x(?![duazjoc]|[oi]*m)" + _TRAIL, says.change),
    (r"[gl=]?qA(?![oi]*m)", figures.accurate),
    (r"[DUZY][gl]?[qfx](?:Y|[oi]*)m?" + _TRAIL + _COMPARED, says.change),
    (r"[DY][oi]*m[oi]+f|[DY][oi]+f[oi]*m", says.part_of),
    (r"w[oi]*m|mw", says.halved),
    (r"[-+]qo?m", says.signed),
    (r"m=?[-+]q" + _TRAIL, says.signed),
    (r"(?:pi?)?[gl]?[fx]o*c?m(?:oc)?" + _TRAIL, says.part_of),
    (r"[gl]?qo+m(?:oc)?", says.part_of),
    (_SAME, says.unsaid),
    (r"miq", figures.ranked),
    (r"[gl]m[=oit]*q(?!o?m)", figures.figure),
    (r"m[=koi]*i[=koi]*[gl]?[=o]*q(?!o?[mc])" + _TRAIL, figures.figure),
    (r"m[=kot]*[gl]?[=o]*q(?!o+c)" + _TRAIL, figures.figure),
    (r"[gl=]?q(?:op|[oNX])*m" + _TRAIL, figures.figure),
    (r"[gl]?p[it=o]*[gl]?q(?!o?m)" + _TRAIL, figures.bound_of_part),
    (r"ps[gl]?q(?!o?m)" + _TRAIL, figures.bound_beside),
    (r"(?:[gl=]o?q(?!o)|q(?![oDUBwYHZz]))" + _TRAIL, figures.bound_alone),
    (r"(?:j?[eduDUBb][oi]*m|mj?[eud]|j?[aA](?:[oi]*m)?)[=ko]*[gl]?[=o]*q(?!o?[mc]|[oi]*[duzabYHZ])" + _TRAIL,
     says.both),
    (r"[DUB](?:j[eu][oi]*m|[oi]*mj[eu])" + _COMPARED, says.change),
    (r"j?[eduDUBb][oi]*m" + _COMPARED, says.change),
    (r"[YH][oi]*m" + _COMPARED, says.change),
    (r"[gl]m|m=?[gl](?![qfxmcRN])", figures.extreme),
    (r"m(?:(?:=?j?[eud]|jA)(?![oi]*m)|=?j[eA](?!o?m))" + _COMPARED, says.change),
    (r"m(?:=[DU]|[YH])(?![oi]*m)", says.change),
    (r"j?[aA](?:[oi]*m" + _BARE + ")?" + _COMPARED, says.change),
    (r"v|b(?=N)", because(Wish(None))),
    (r"n", because(NOT)),
    (r"m", figures.bare),
)  # fmt: skip
_ALL = re.compile("|".join(f"(?P<r{at}>{pattern})" for at, (pattern, _) in enumerate(_RULES)))
_EACH = [re.compile(pattern) for pattern, _ in _RULES]


@final
class Stretch(NamedTuple):
    """What one stretch of phrases means, with the first and last of them."""

    meanings: tuple[Meaning, ...]
    start: int
    end: int


def heard(found: Sequence[Lexeme], typed: bool) -> tuple[list[Stretch], list[int]]:
    """What the rules make of phrases, left to right, and the places of those that no rule took."""
    line, at = signs(found), 0
    read: list[Stretch] = []
    rest: list[int] = []
    while at < len(found):
        made = _at(line, at, found, typed)
        if made is None:
            rest.append(at)
            at += 1
            continue
        read.append(made)
        at = made.end
    return read, rest


def _of_two(matched: Sequence[Lexeme]) -> bool:
    """Whether a rule would take two metrics for one, and so lose one of them."""
    return len({lexeme.value.key for lexeme in matched if lexeme.sign == "m"}) > 1


def _at(line: str, at: int, found: Sequence[Lexeme], typed: bool) -> Stretch | None:
    """The first rule that takes what begins at a place."""
    match = _ALL.match(line, at)
    if match is None:
        return None
    for place in range(int(str(match.lastgroup)[1:]), len(_RULES)):
        match = _EACH[place].match(line, at)
        if match is None or match.end() == at or _of_two(found[at : match.end()]):
            continue
        made = _RULES[place][1](Matched(found[at : match.end()], typed))
        if made is not None:
            return Stretch(tuple(made) if isinstance(made, list) else (made,), at, match.end())
    return None
