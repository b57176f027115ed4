"""Transformers take our tokens with their padding masked, ours labels, and what lies in a folder."""

from pathlib import Path
from typing import Any

import pytest
import torch

import own_nets
from models.own import hugging_face
from refusal import Refusal

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
TEXTS: dict[str, Any] = {"shape": (12,), "classes": 3, "task": "classification", "vocabulary": 50}

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True, scope="module")
def theirs() -> Any:
    own_nets.at_hand("hf")


def tokens(length: int = 8) -> torch.Tensor:
    return torch.randint(1, 50, (4, length), generator=torch.Generator().manual_seed(0))


def test_padding_changes_no_answer() -> None:
    net = hugging_face.build(type="bert", args=SMALL, **TEXTS).eval()
    x = tokens()
    padded = torch.cat([x, torch.zeros(4, 4, dtype=torch.int64)], 1)
    assert net(x).shape == (4, 3)
    assert torch.allclose(net(padded), net(x), atol=1e-6)


def test_a_folder_gives_its_weights_and_a_new_head_is_told(tmp_path: Path) -> None:
    net = hugging_face.build(type="bert", args=SMALL, **TEXTS).eval()
    net.net.save_pretrained(tmp_path)
    again = hugging_face.build(path=str(tmp_path), **TEXTS).eval()
    assert torch.equal(again(tokens()), net(tokens()))
    assert vars(again)["described"]["notes"] == [
        f"tokens are those of data.tokenizer, not those that the weights in {tmp_path} learnt"
    ]
    other = hugging_face.build(path=str(tmp_path), **(TEXTS | {"classes": 5}))
    assert (
        "has no classifier.bias, classifier.weight for this data: new" in vars(other)["described"]["notes"][0]
    )
    assert torch.equal(other.net.bert.pooler.dense.weight, net.net.bert.pooler.dense.weight)


def test_a_language_and_pictures_have_the_heads_that_fit() -> None:
    language: dict[str, Any] = {"shape": (12,), "classes": 50, "task": "language"}
    gpt = hugging_face.build(type="gpt2", args={"n_embd": 16, "n_layer": 1, "n_head": 2}, **language)
    assert gpt(tokens(12)).shape == (4, 12, 50)
    sides = {"image_size": 8, "patch_size": 4, "num_channels": 1}
    pictures: dict[str, Any] = {"shape": (1, 8, 8), "classes": 3, "task": "classification"}
    vit = hugging_face.build(type="vit", args=SMALL | sides, **pictures)
    assert vit(torch.randn(2, 1, 8, 8)).shape == (2, 3)


@pytest.mark.parametrize("kind", ["roberta", "gpt2"])
def test_tokens_of_its_own_reach_it_as_it_knows_them(kind: str, tmp_path: Path) -> None:
    args = SMALL if kind == "roberta" else {"n_embd": 16, "n_layer": 1, "n_head": 2}
    made = hugging_face.build(type=kind, args=args, **TEXTS).net
    made.config.pad_token_id = 1 if kind == "roberta" else None
    made.save_pretrained(tmp_path)
    net = hugging_face.build(path=str(tmp_path), padding=1, **TEXTS).eval()
    assert net.net.config.pad_token_id == 1
    assert "notes" not in vars(net)["described"] or not vars(net)["described"]["notes"]
    theirs = torch.tensor([[5, 0, 9, 7], [0, 4, 1, 1]])
    ours = torch.tensor([[5, 1, 9, 7], [1, 4, 0, 0]])
    expected = net.net(input_ids=theirs, attention_mask=(theirs != 1).long()).logits
    assert torch.equal(net(ours), expected)
    assert not torch.allclose(net(theirs), expected)


@pytest.mark.parametrize(
    ("given", "more", "said"),
    [
        ({}, {}, r"needs one of model\.path=FOLDER"),
        ({"type": "brt"}, {}, "Unrecognized model identifier: brt"),
        ({"path": "nowhere"}, {}, r"nowhere has no config\.json"),
        ({"type": "bert"}, {"shape": (12,), "vocabulary": None}, "takes texts and pictures"),
    ],
)
def test_what_cannot_be_made_is_said(given: dict[str, Any], more: dict[str, Any], said: str) -> None:
    with pytest.raises(Refusal, match=said):
        hugging_face.build(**given, **(TEXTS | more))


def test_more_tokens_than_a_folder_knows_are_refused(tmp_path: Path) -> None:
    hugging_face.build(type="bert", args=SMALL, **TEXTS).net.save_pretrained(tmp_path)
    with pytest.raises(Refusal, match=r"knows 50 tokens and the data has 60: set data\.tokens=50"):
        hugging_face.build(path=str(tmp_path), **(TEXTS | {"vocabulary": 60}))
