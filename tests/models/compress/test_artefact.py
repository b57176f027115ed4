"""What is stored: smaller where weights are zero, equal when loaded, and never half written."""

import json

import pytest
import torch
from torch import nn

from cases import each
from models.compress.artefact import load, measure, pack, save, unpack
from models.compress.magnitude import magnitude_mask
from refusal import Refusal
from trainings import network


def wide(sparsity: float = 0.0, dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(256, 256), nn.Linear(256, 10))
    for layer in net:
        layer.weight.data *= magnitude_mask(layer.weight, sparsity)
    return net.to(dtype)


@each("sparsity", [0.0, 0.5, 0.9, 0.99])
@each("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_what_is_loaded_equals_what_was_saved(tmp_path, sparsity, dtype) -> None:
    net = wide(sparsity, dtype)
    written = save(net, tmp_path / "weights.pt")
    assert written == (tmp_path / "weights.pt").stat().st_size
    assert abs(measure(net) - written) <= 64
    found, own = load(tmp_path / "weights.pt"), net.state_dict()
    assert found.keys() == own.keys()
    assert all(torch.equal(found[name], own[name]) and found[name].dtype == dtype for name in own)
    wide(dtype=dtype).load_state_dict(found)


@pytest.mark.parametrize(("sparsity", "most"), [(0.3, 0.78), (0.5, 0.57), (0.7, 0.37), (0.9, 0.17)])
def test_sparse_weights_take_a_bit_each_and_their_values(sparsity, most) -> None:
    assert measure(wide(sparsity)) / measure(wide()) < most


def test_dense_weights_cost_what_torch_writes(tmp_path) -> None:
    torch.save(wide().state_dict(), tmp_path / "plain")
    assert measure(wide()) <= (tmp_path / "plain").stat().st_size + 512


def test_int8_and_half_are_kept_and_views_are_cut() -> None:
    base = torch.randn(1000, 100)
    state = {"int8": torch.randint(-128, 127, (64, 64)).to(torch.int8), "view": base[:10], "odd": None}
    packed = pack(state)
    assert packed["int8"].dtype == torch.int8 and packed["odd"] is None
    assert packed["view"].untyped_storage().nbytes() == 4000
    assert torch.equal(unpack(packed)["view"], base[:10])


def test_shared_weights_are_stored_once_sparse_or_not() -> None:
    for sparsity in (0.0, 0.9):
        net = nn.Sequential(nn.Linear(256, 256), nn.Linear(256, 256))
        net[0].weight.data *= magnitude_mask(net[0].weight, sparsity)
        one = measure(net[:1])
        net[1].weight = net[0].weight
        assert measure(net) < 1.1 * one + 2048
        found = unpack(pack(net.state_dict()))
        assert found["0.weight"] is found["1.weight"]


def test_a_compiled_networks_weights_are_its_eager_forms() -> None:
    class Compiled(nn.Module):
        def __init__(self):
            super().__init__()
            self.eager = network()

    assert measure(Compiled()) == measure(network())


def test_a_damaged_file_and_a_foreign_one_are_refused(tmp_path) -> None:
    path = tmp_path / "weights.pt"
    save(network(), path)
    assert "weights.pt" in json.loads((tmp_path / "manifest.json").read_text())["checkpoints"]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(Refusal, match="damaged"):
        load(path)
    torch.save({"joulelab": {}}, tmp_path / "other.pt")
    with pytest.raises(Refusal, match="no weights"):
        load(tmp_path / "other.pt")
