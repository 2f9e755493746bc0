"""Attention by parts against attention under the dense mask."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from learner.attention import attend, fused
from learner.batch import Weighted, collate
from rnr.types import Sample

packs = st.lists(
    st.tuples(st.integers(1, 9), st.lists(st.integers(1, 9), min_size=1, max_size=4)), min_size=1, max_size=3
)


def _layout(shapes):
    return collate(
        tuple(
            tuple(
                Weighted(sample=Sample(uid="", prompt_ids=(1,) * prompt, completion_ids=(1,) * count), weight=1.0)
                for count in completions
            )
            for prompt, completions in shapes
        )
    ).layout


def _mask(shapes) -> torch.Tensor:
    """(T, T), True where the token of the first axis may attend to that of the second."""
    pack, branch = [], []
    for number, (prompt, completions) in enumerate(shapes):
        for place, length in enumerate((prompt, *completions)):
            pack += [number] * length
            branch += [place] * length
    pack, branch = torch.tensor(pack), torch.tensor(branch)
    seen = (branch[None] == 0) | (branch[None] == branch[:, None])
    return (seen & (pack[None] == pack[:, None])).tril()


def test_the_mask_by_hand() -> None:
    assert _mask([(2, [2, 1]), (1, [1])]).int().tolist() == [
        [1, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0],
        [1, 1, 1, 1, 0, 0, 0],
        [1, 1, 0, 0, 1, 0, 0],  # another completion: it sees the prompt and itself, not the first one
        [0, 0, 0, 0, 0, 1, 0],  # another pack
        [0, 0, 0, 0, 0, 1, 1],
    ]


@settings(max_examples=40, deadline=None)
@given(shapes=packs, groups=st.sampled_from([1, 3]), seed=st.integers(0, 9))
def test_values_and_gradients_are_those_of_the_dense_mask(shapes, groups, seed) -> None:
    layout = _layout(shapes)
    tokens, generator = len(layout.places_T), torch.Generator().manual_seed(seed)
    query, key, value = (
        torch.randn(1, heads, tokens, 5, generator=generator, dtype=torch.float64, requires_grad=True)
        for heads in (2 * groups, 2, 2)
    )
    grads = torch.randn(1, tokens, 2 * groups, 5, generator=generator, dtype=torch.float64)
    ours, _ = attend(torch.nn.Identity(), query, key, value, None, layout=layout, scaling=0.3)
    on_gpu = fused(*(part[0].transpose(0, 1) for part in (query, key, value)), layout, 0.3)[None]
    wide = (part.repeat_interleave(groups, 1) for part in (key, value))
    theirs = scaled_dot_product_attention(query, *wide, attn_mask=_mask(shapes), scale=0.3).transpose(1, 2)
    expected = torch.autograd.grad(theirs, (query, key, value), grads)
    for result in (ours, on_gpu):
        torch.testing.assert_close(result, theirs)
        gradients = torch.autograd.grad(result, (query, key, value), grads)
        for our, their in zip(gradients, expected, strict=True):
            torch.testing.assert_close(our, their)


@pytest.mark.parametrize("option", [{"sliding_window": 4}, {"softcap": 30.0}, {"dropout": 0.1}])
def test_attention_of_another_kind_is_refused(option) -> None:
    layout = _layout([(3, [2])])
    query = torch.zeros(1, 2, 5, 4)
    with pytest.raises(ValueError, match="does not support"):
        attend(torch.nn.Identity(), query, query, query, None, layout=layout, scaling=1.0, **option)


def test_a_window_wider_than_the_longest_sequence_changes_nothing() -> None:
    layout, generator = _layout([(3, [2])]), torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 2, 5, 4, generator=generator) for _ in range(3))
    without, wide = (
        attend(torch.nn.Identity(), query, key, value, None, layout=layout, scaling=1.0, **window)[0]
        for window in ({}, {"sliding_window": 5})
    )
    assert torch.equal(wide, without)
