"""What a figure bounds that stands beside a metric, beside a part of a trial's life, or alone."""

from research.goal.lexicon import ACCURACY, CONCEPTS, Noun, signs
from research.goal.meanings import Matched, changed, limited
from research.goal.merging import WITH
from research.goal.saying import Meaning, Problem, Wish
from research.metrics import is_score


def figure(heard: Matched) -> Meaning | None:
    """A metric and a quantity in either order; declined where the quantity is of something else."""
    noun, quantity = heard.noun, heard.quantity
    assert noun is not None
    if quantity.dimension == "share" and "qom" in signs(heard.found) and noun == ACCURACY:
        return Problem(
            "may be of all answers, or of what the control has right: say 'at least 90 % accuracy'"
        )
    if noun.concept == CONCEPTS["parameters"] and quantity.dimension == "bytes":
        noun = Noun(CONCEPTS["size"])  # `the weights fit into 64 KiB`
    said = quantity.noun
    if said is not None and said.part not in (None, "test", noun.part):
        if noun.part is not None or said.part not in noun.concept.keys:
            return Problem("is not measured of that part of a trial: leave it out, or name another metric")
        noun = noun._replace(part=said.part)
    made = limited(noun, heard.op, quantity, typed=heard.typed)
    if made is None and quantity.dimension is None and noun.key is not None:
        return Problem("needs a unit, as 2 ms, 20 J or 95 %")
    if made is None and signs(heard.found)[:2] in ("mo", "m="):
        return Problem("is in no unit of that metric: give it in its own, as 2 ms, 20 J or 95 %")
    if made is None and quantity.dimension == "share" and heard.found[-1].sign == "m":
        return Problem("is a share of a cost: say '30 % less' of it, or give accuracy a bound of its own")
    return made


def ranked(heard: Matched) -> Meaning | None:
    """`recall@10`, and not `accuracy@95 %`."""
    mark, noun = heard.first("i"), heard.noun
    beside = mark is not None and mark.end == mark.start + 1
    if not beside or noun is None or not is_score(noun.key or "") or heard.quantity.dimension is not None:
        return None
    first = "is a score of the first so many answers, which is not measured: accuracy is"
    return Problem(first) if heard.quantity.value >= 1 else None


def accurate(heard: Matched) -> Meaning | None:
    """`97 % accurate`."""
    word = heard.first("A")
    return figure(heard) if heard.noun == ACCURACY and word is not None and word.value.way == "up" else None


def bound_of_part(heard: Matched) -> Meaning | None:
    """`inference under 2 ms`, `train in 30 seconds`."""
    part, noun = heard.first("p"), heard.quantity.noun
    if part is not None and part.value == "train" and noun is not None:
        beside = heard.found[1].start - part.end <= 1  # `train a model under 100 kB` is of the model
        if noun.concept.name == "throughput" or (noun.concept.name == "size" and beside):
            return Problem("does not say of what: name the memory, the model size, or the throughput")
    if part is None or noun is None or noun.part not in (None, part.value):
        return None
    if noun.concept.name not in ("energy", "time", "latency", "flops", "co2"):
        return None
    concept = CONCEPTS["time"] if noun.concept.name == "latency" else noun.concept
    return limited(Noun(concept, part.value), heard.op, heard.quantity, typed=heard.typed)


def bound_beside(heard: Matched) -> Meaning | None:
    """`train with 20 J`; of `train with 100 MB` the memory or the model may be meant."""
    said, noun = heard.first("s"), heard.quantity.noun
    if said is None or said.value not in WITH or noun is None or noun.concept == ACCURACY.concept:
        return None
    if noun.concept.name in ("size", "latency"):
        return Problem("does not say of what: name the memory, the model size, or the time")
    return bound_of_part(heard)


def bound_alone(heard: Matched) -> Meaning | None:
    """`under 20 J`, `above 95 %`: the unit says of what."""
    quantity = heard.quantity
    if quantity.noun is None:
        return Problem("does not say of what: name the metric and the unit, as 0.9 accuracy or 20 J")
    if quantity.dimension == "points":
        return Problem("is no bound: points are a difference; say 95 %, or at most 1 point lost")
    noun = quantity.noun
    if noun.concept.name == "time" and noun.part is None:
        noun = noun._replace(part="train")
    made = limited(noun, heard.op, quantity, typed=heard.typed)
    return made._replace(instead="") if isinstance(made, Problem) else made


def extreme(heard: Matched) -> Meaning | None:
    """`min energy`, `maximum accuracy`, where no figure follows."""
    said, noun = heard.first("gl"), heard.noun
    if said is None or noun is None or str(said.value)[:3] not in ("min", "max"):
        return None
    return changed(noun, "down" if str(said.value).startswith("min") else "up", None, None)


def bare(heard: Matched) -> Meaning | None:
    """A score alone is to be the best; a cost alone may be meant either way."""
    noun = heard.noun
    assert noun is not None
    if not noun.concept.inverse and (noun.key or "").startswith("test/"):
        return Wish(noun.key)
    made = changed(noun, "down", None, None)
    said = isinstance(made, Problem) and noun.key is None
    return made if said else Problem("does not say whether less of it is wanted or a bound is meant")
