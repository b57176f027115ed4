"""What low-rank factors bring at half of the parameters, beside the same network dense.

    python benchmarks/low_rank.py [--seeds 3] [--threads 1] [--device cpu] [--only NAME]

For each seed a network is trained, then factorised and fine-tuned (after), or trained once dense and once as
factors of its first weights, in as many steps (before). Measured as in benchmarks/pruning.py.

Target: at half of the parameters at most 1 point worse, and faster by the clock at a width of 512 and more.
"""

from functools import partial

from pruning import Case, main

from models.compress.low_rank import Factorise
from models.data import digits
from models.nets.mlp import MLP
from models.nets.transformer import Transformer


def cases() -> list[Case]:
    images = digits.load(batch_size=64)
    after = partial(Factorise, share=0.5, finetune_steps=100)
    first = partial(Factorise, share=0.5, when="before")
    transformer = partial(Transformer, (1, 8, 8), 10, width=512, heads=8, patch=4)
    wide = partial(MLP, (1, 8, 8), 10, width=1024, depth=3)
    return [
        Case("after, mlp 3 x 1024, digits", wide, images, 200, 1e-3, after),
        Case("before, mlp 3 x 1024, digits", wide, images, 200, 1e-3, first),
        Case("after, transformer 2 x 512, digits", transformer, images, 150, 5e-4, after),
    ]


if __name__ == "__main__":
    main(cases, __doc__, ("before",))
