"""The ids of a bitmask, by hand and against a look at every bit."""

import numpy as np

from actors.token_mask import ids_of


def test_ids_are_those_of_the_bits_that_are_set() -> None:
    words = np.zeros(4, dtype=np.int32)
    assert ids_of(words, 128) == ()
    words[0] = 0b101
    words[2] = -(2**31)  # its highest bit
    words[3] = 1 << 8
    assert ids_of(words, 128) == (0, 2, 95, 104)
    assert ids_of(words, 104) == (0, 2, 95)
    assert ids_of(words, 95) == (0, 2)


def test_all_ids_of_a_mask_without_limits_are_those_of_the_vocabulary() -> None:
    assert ids_of(np.full(4, -1, dtype=np.int32), 101) == tuple(range(101))


def test_random_masks_give_what_a_look_at_every_bit_gives() -> None:
    random = np.random.default_rng(0)
    for share in (0.001, 0.1, 0.9):
        allowed = random.random(1600) < share
        words = np.packbits(allowed, bitorder="little").view(np.int32)
        assert ids_of(words, 1590) == tuple(np.flatnonzero(allowed[:1590]).tolist())
