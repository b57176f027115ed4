import pytest
import torch

from models.optim.soap import soap
from refusal import Refusal


@pytest.mark.parametrize(
    "options",
    [{"lr": -1.0}, {"weight_decay": -1.0}, {"betas": (0.9, 1.0)}, {"precondition_frequency": 0}],
)
def test_values_out_of_range_are_refused_before_the_import(options):
    with pytest.raises(Refusal, match=r"optimizer\."):
        soap([torch.nn.Parameter(torch.ones(2, 2))], **options)


def test_sides_above_the_largest_keep_their_axes_and_the_first_step_only_looks():
    weight = torch.nn.Parameter(torch.ones(6, 3))
    optimizer = soap([weight], weight_decay=0.0, max_precondition_dim=4)
    generator = torch.Generator().manual_seed(0)
    for moved in (False, True):
        weight.grad = torch.randn(6, 3, generator=generator)
        optimizer.step()
        assert torch.equal(weight.detach(), torch.ones(6, 3)) is not moved
    tall, wide = optimizer.state[weight]["Q"]
    assert len(tall) == 0 and wide.shape == (3, 3)
