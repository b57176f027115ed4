"""How texts of any sizes are held out by shares of their bytes: whole files, else the end of the largest."""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple, final

import numpy as np

from reading.decoded import PARTS, TRAIN
from refusal import Refusal

_ENOUGH = 0.5
"""of a share that whole files make up; with less, a file is cut"""
_TOLD = 0.2
"""of a share by which a part may be off before that is said"""


@final
class TextFile(NamedTuple):
    """One file of text."""

    name: str
    text: bytes


def held_out(
    pieces: list[TextFile], shares: Mapping[int, float], seed: int, notes: list[str]
) -> dict[int, list[bytes]]:
    """Part -> its texts; `TRAIN` has the rest. Raises `Refusal` where the shares leave nothing."""
    if any(not 0 < share < 1 for share in shares.values()) or sum(shares.values()) >= 1:
        raise Refusal(
            "data.val_share and data.test_share must be above 0 and leave a rest for training: for example "
            "0.02 and 0.02."
        )
    groups = _alike(pieces)
    free = [groups[place] for place in np.random.default_rng(seed).permutation(len(groups))]
    total = sum(len(one.text) for one in pieces)
    parts: dict[int, list[bytes]] = {}
    for part, share in shares.items():
        asked = share * total
        parts[part], free = _whole(free, asked)
        got = sum(map(len, parts[part]))
        if got < _ENOUGH * asked:
            end, free = _end(free, round(asked - got), PARTS[part], notes)
            parts[part].append(end)
            got += len(end)
        if abs(got - asked) > _TOLD * asked:
            notes.append(f"{PARTS[part]} holds {got} bytes, not the {asked:.0f} asked for: files stay whole")
    parts[TRAIN] = [one.text for group in free for one in group]
    return parts


def _alike(pieces: list[TextFile]) -> list[list[TextFile]]:
    """Files that hold the same, together."""
    groups: dict[bytes, list[TextFile]] = {}
    for one in pieces:
        groups.setdefault(hashlib.sha256(one.text).digest(), []).append(one)
    return list(groups.values())


def _whole(free: list[list[TextFile]], asked: float) -> tuple[list[bytes], list[list[TextFile]]]:
    """(texts that fit into what is asked, in order; the groups that are left)."""
    taken, left = list[bytes](), list[list[TextFile]]()
    room = asked
    for group in free:
        size = sum(len(one.text) for one in group)
        if size <= room:
            taken += [one.text for one in group]
            room -= size
        else:
            left.append(group)
    return taken, left


def _end(
    free: list[list[TextFile]], size: int, part: str, notes: list[str]
) -> tuple[bytes, list[list[TextFile]]]:
    """The last `size` bytes of the largest file that has no copies; the groups with what is left of it."""
    alone = [group for group in free if len(group) == 1]
    if not alone or len(max(alone, key=lambda group: len(group[0].text))[0].text) <= size:
        raise Refusal(f"no file is large enough to give {size} bytes to {part}: bring more text.")
    largest = max(alone, key=lambda group: len(group[0].text))
    (whole,) = largest
    notes.append(
        f"{whole.name} is cut: its last {size} bytes are for {part}, as whole files do not make its share"
    )
    rest = TextFile(whole.name, whole.text[:-size])
    return whole.text[-size:], [[rest] if group is largest else group for group in free]
