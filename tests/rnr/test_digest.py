"""The digest of a set of weights tells whether two sides hold the same bits."""

import hashlib

import numpy
import pytest
import torch

from rnr.digest import bits, weights_digest

BITS = numpy.array([[1, 2, 3], [4, 5, 6]], dtype=numpy.int16)


def test_the_digest_by_hand() -> None:
    header = b"('a', '<i2', (2, 3))"
    tensor = hashlib.sha256(len(header).to_bytes(8, "little") + header + bytes([1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0]))
    assert weights_digest([("a", BITS)]) == hashlib.sha256(tensor.digest()).hexdigest()


def test_the_order_of_the_tensors_is_nothing_and_everything_else_counts() -> None:
    whole = {"a": BITS, "b": BITS[0]}
    digest = weights_digest(whole.items())
    assert weights_digest(reversed(list(whole.items()))) == digest
    one_bit = BITS.copy()
    one_bit[1, 2] ^= 1
    others = [
        {"a": one_bit, "b": BITS[0]},
        {"a": BITS.reshape(3, 2), "b": BITS[0]},
        {"a": BITS.astype(numpy.int32), "b": BITS[0]},
        {"a": BITS.view(numpy.float16), "b": BITS[0]},
        {"A": BITS, "b": BITS[0]},
        {"a": BITS[0], "b": BITS},  # the same bits under each other's names
        {"a": BITS},
        {},
    ]
    digests = {weights_digest(other.items()) for other in others}
    assert len(digests) == len(others)
    assert digest not in digests


def test_views_scalars_and_empty_tensors_are_taken_by_their_values() -> None:
    assert weights_digest([("a", BITS.T)]) == weights_digest([("a", BITS.T.copy())])
    scalar, empty = numpy.array(3, numpy.int16), numpy.zeros((0, 4), numpy.int16)
    assert weights_digest([("a", scalar)]) != weights_digest([("a", scalar.reshape(1))])
    assert weights_digest([("a", empty)]) != weights_digest([("a", empty.T)])


def test_a_name_that_comes_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="duplicate weights: a"):
        weights_digest([("a", BITS), ("b", BITS), ("a", BITS)])


def test_the_bits_of_a_tensor_are_those_of_its_bf16_values_and_only_what_is_not_bf16_is_copied() -> None:
    # 1 is 0x3F80, -2 is 0xC000: sign, eight bits of the exponent, seven of the fraction.
    wanted = [[0x3F80, 0xC000 - 2**16], [0, 0x3F80]]
    weight = torch.nn.Parameter(torch.tensor([[1.0, -2.0], [0.0, 1.0]], dtype=torch.bfloat16))
    seen = bits(weight)
    assert (seen.dtype, seen.tolist()) == (numpy.int16, wanted)
    assert bits(weight.float()).tolist() == wanted
    assert bits(weight.T).tolist() == [[0x3F80, 0], [0xC000 - 2**16, 0x3F80]]
    with torch.no_grad():
        weight[1, 0] = 1
    assert seen.tolist() == [wanted[0], [0x3F80, 0x3F80]]
