"""Verdicts at the edges of what may be said, and what an agent that was refused is told to do instead."""

import math
import re
from pathlib import Path

from cases import each
from research.space.complaints import near
from research.space.gate import Space

GATE = Path(__file__).parents[2] / "gate"
SPACE = Space(GATE / "conf", GATE / "space.yaml")

EDGES = [
    "optimizer.lr=1E-08", "optimizer.lr=10", "optimizer.lr=1.", "optimizer.lr=.001", "optimizer.lr=0.000_1",
    "optimizer.lr=10.0000000000000001", "optimizer.weight_decay=1e-400", "model.dropout=-0.0", "seed=-0",
    "seed=+5", "seed=1_000", "seed=range(4294967295,4294967296)", "seed=range(3,-1,-1)",
    "seed=range (0 , 5)", "seed=range(stop=4,start=1)", "seed=choice(7)", "model.dropout=range(0,1)",
    "optimizer = lion ", "model.hidden = [ 64 , 64 ]", "name='5'", "name='null'", "name=0a", "name=007",
    "name=a\\,b", "tags=['1']", "trainer.gradient_clip_val=NULL,1", "optimizer=lion" + " " * 498,
    "name=" + "a" * 64, "scheduler=\"none\"", "seed=range(64)", "seed=0,0",
]  # fmt: skip
BEYOND = [
    *(f"{key}={math.nextafter(float(edge), towards)!r}" for key, edge, towards in [
        ("optimizer.lr", 10, 11), ("optimizer.lr", 1e-8, 0), ("model.dropout", 0.9, 1),
        ("model.norm.eps", 1e-12, 0), ("loss.label_smoothing", 0.5, 1), ("optimizer.weight_decay", 0, -1),
    ]),
    "seed=4294967296", "seed=range(4294967290,4294967297)", "seed=range(3,-2,-1)", "seed=range(65)",
    "seed=0x10", "seed=1__0", "seed=00", "seed=1e3", "optimizer.lr=1e-400", "optimizer.lr=1e+1_000",
    "optimizer.lr=0,001", "optimizer.lr=\u0661", "optimizer.lr=1 e-3", "optimizer=lion" + " " * 499,
    "name=" + "a" * 65, "name=a\\/b", "name='a\\'b'", "name=&quot;a&quot;", "optimizer&#61;lion",
    "seed=1,range(3)", "seed=sort(3,1,2)", "optimizer=choice[adam,lion]", "optimizer=adam|lion",
    "seed=1 \\", "python train.py seed=1", "seed=1; id", "override /optimizer=lion",
    "optimizer=lion@_global_", "optimizer@optimizer=lion", "tags+=[a]", "seed:=1", "x.hydra.run.dir=1",
    "HYDRA.run.dir=x", "model.\u0261elu=1", "name=a\u2024b", "name=#{x}",
]  # fmt: skip
TOLD = [
    ("optimizer.learning_rate=1e-3", "Did you mean optimizer.lr?"),
    ("learning_rate=1e-3", "Did you mean optimizer.lr?"),
    ("optimizer.wd=0.1", "Did you mean optimizer.weight_decay?"),
    ("optimizer.beta1=0.9", "Did you mean optimizer.betas?"),
    ("epochs=5", "Did you mean trainer.max_epochs?"),
    ("scheduler.warmup_steps=5", "Did you mean scheduler.warmup?"),
    ("SEED=1", "Did you mean seed?"),
    ("model/width=8", "Did you mean model.width?"),
    ("goal=x", "use the ones listed."),
    ("name=5", "'5' is not without quotes."),
    ("name=null", "'null' is not without quotes."),
    ("tags=[a,1]", "'[a,1]' is not without quotes."),
    ("model.width='128'", "is not with quotes."),
    ("optimizer.betas=[0.9,'0.95']", "is not with quotes."),
    ("trainer.gradient_clip_val='null'", "is not with quotes."),
    ("model.width='wide'", "\"'wide'\" is not."),
    ("optimizer={lr:1e-3}", "no value is a dict, so set each key by an override of its own."),
    ("model.hidden=(64,64)", "a list is written in brackets, as [a,b]."),
]


@each("text", EDGES)
def test_the_last_that_is_taken(text: str) -> None:
    assert SPACE.check([text]) == []


@each("text", BEYOND, ids=ascii)
def test_the_first_that_is_not(text: str) -> None:
    (complaint,) = SPACE.check([text])
    assert re.fullmatch(r"[ -~]{10,400}[.?]", complaint)


@each(("text", "says"), TOLD)
def test_a_complaint_says_what_to_write_instead(text: str, says: str) -> None:
    (complaint,) = SPACE.check([text])
    assert complaint.endswith(says)


def test_a_name_is_sought_in_its_own_group_first() -> None:
    names = ["model.width", "trainer.max_epochs", "data.max_size", "model.heads", "net/width"]
    assert near("model/Width", names) == ["model.width"] and near("width", names) == [
        "model.width",
        "net/width",
    ]
    assert near("trainer.max_steps", names) == ["trainer.max_epochs"] and near("zzz", names) == []
    assert near("me", names) == ["trainer.max_epochs"] and near("", names) == []
