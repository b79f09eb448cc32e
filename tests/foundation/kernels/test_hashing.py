"""Hashing against a slow rewrite with Python's own integers, and against published values of SplitMix64."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from scalr.foundation.kernels.hashing import GOLDEN, combine, combine_keys, integer_keys, mix, string_keys, units

MASK = 2**64 - 1
INTEGER_TAG = 0xA0761D6478BD642F
STRING_TAG = 0xE7037ED1A0B428DB
WORDS = st.integers(0, MASK)
IDS = st.integers(-(2**63), 2**63 - 1)


def slow_mix(z: int) -> int:
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


def slow_combine(key: int, other: int) -> int:
    return slow_mix((key + int(GOLDEN) & MASK) ^ slow_mix(other + INTEGER_TAG & MASK))


def slow_string_key(text: str) -> int:
    if re.fullmatch(r"0|-?[1-9][0-9]*", text) and -(2**63) <= int(text) < 2**63 and text.isascii():
        return slow_mix(int(text) + INTEGER_TAG & MASK)
    data = text.encode()
    key = STRING_TAG ^ len(data)
    whole = len(data) // 8 * 8
    for start in range(0, whole, 8):
        key = slow_mix(key ^ int.from_bytes(data[start : start + 8], "little")) + int(GOLDEN) & MASK
    return slow_mix(key ^ int.from_bytes(data[whole:], "little"))


def keys_of_strings(texts: list[str]) -> list[int]:
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, encoded)]).astype(np.int64)
    return string_keys(np.frombuffer(b"".join(encoded), np.uint8), offsets).tolist()


def keys_of_integers(values: list[int]) -> list[int]:
    return integer_keys(np.array(values, np.int64)).tolist()


def words(values: list[int]) -> np.ndarray:
    return np.array(values, np.uint64)


@given(WORDS)
def test_mix_is_the_slow_rewrite(z: int) -> None:
    assert int(mix(np.uint64(z))) == slow_mix(z)


def test_numbers_of_one_key_are_those_of_splitmix64() -> None:
    """The first outputs of the generator with seed 0, as in the authors' reference code."""
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    for counter, word in enumerate(published):
        assert units(words([0]), counter).tolist() == [(word >> 11) / 2**53]


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=20))
def test_combine_is_the_slow_rewrite(pairs: list[tuple[int, int]]) -> None:
    ones, others = (words(list(part)) for part in zip(*pairs, strict=True))
    expected = [slow_combine(one, other) for one, other in pairs]
    assert combine_keys(ones, others).tolist() == expected
    assert int(combine(ones[0], others[0])) == expected[0]


def test_combine_tells_the_order_of_its_two_values() -> None:
    assert combine_keys(words([1, 2]), words([2, 1])).tolist() == [slow_combine(1, 2), slow_combine(2, 1)]
    assert slow_combine(1, 2) != slow_combine(2, 1)


@given(st.lists(IDS, unique=True, max_size=200))
def test_different_integers_have_different_keys(values: list[int]) -> None:
    assert len(set(keys_of_integers(values))) == len(values)
    assert keys_of_integers(values) == [slow_mix(value + INTEGER_TAG & MASK) for value in values]


def test_integers_at_the_ends_of_their_range() -> None:
    ends = [-(2**63), -(2**63) + 1, -(2**32), -1, 0, 1, 2**31, 2**32, 2**63 - 2, 2**63 - 1]
    assert len(set(keys_of_integers(ends))) == len(ends)


def test_a_million_neighbouring_integers_have_different_keys() -> None:
    values = np.arange(-500_000, 500_000)
    assert len(np.unique(integer_keys(values))) == len(values)


@given(st.lists(st.text() | st.text("0123456789-") | IDS.map(str) | st.integers(-(2**65), 2**65).map(str), max_size=30))
def test_string_keys_are_the_slow_rewrite(texts: list[str]) -> None:
    assert keys_of_strings(texts) == [slow_string_key(text) for text in texts]


@given(st.lists(st.text(), unique=True, max_size=200))
def test_different_strings_have_different_keys(texts: list[str]) -> None:
    """Chance of a false alarm: 200**2 / 2**65, about 1e-15 per example."""
    assert len(set(keys_of_strings(texts))) == len(texts)


@given(IDS)
def test_the_text_of_an_integer_has_the_key_of_the_integer(value: int) -> None:
    """A CSV file cannot tell one from the other, and the same events must come from any format."""
    assert keys_of_strings([str(value)]) == keys_of_integers([value])


@pytest.mark.parametrize("text", ["007", "-0", "+7", "7.0", " 7", "", "-", str(2**63), str(-(2**63) - 1), "９"])
def test_text_that_is_not_an_integer_as_printed_keeps_its_own_key(text: str) -> None:
    assert keys_of_strings([text]) == [slow_string_key(text)] != keys_of_integers([7])


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 15, 16, 17])
def test_prefixes_and_zero_bytes_are_told_apart(length: int) -> None:
    text = "x" * length
    versions = [text, text + "\0", text + "\0\0", "\0" + text + "\0", text + "x", text + "x\0"]
    if length:
        versions += [text[:-1], text[:-1] + "\0", "\0" + text]
    assert len(set(keys_of_strings(versions))) == len(set(versions))


def test_strings_that_differ_in_the_order_of_their_words() -> None:
    assert len(set(keys_of_strings(["aaaaaaaabbbbbbbb", "bbbbbbbbaaaaaaaa", "aaaaaaaaaaaaaaaa"]))) == 3


def test_the_empty_string_and_no_strings() -> None:
    assert keys_of_strings([""]) == [slow_mix(STRING_TAG)]
    assert keys_of_strings([]) == []
    assert keys_of_integers([]) == []


def test_a_slice_of_a_longer_text_column_needs_no_copy() -> None:
    """Offsets need not start at zero."""
    data = np.frombuffer(b"unusedcdab", np.uint8)
    assert string_keys(data, np.array([6, 8, 10])).tolist() == keys_of_strings(["cd", "ab"])


def test_known_answers_of_keys() -> None:
    """Pinned: another hash would change every synthetic event of every user's seed."""
    assert keys_of_integers([0, 7, -1]) == [9071725088682436940, 4549667540319347167, 17466649567027986742]
    assert keys_of_strings(["", "7", "user_000001"]) == [
        11124953235147924929,
        4549667540319347167,
        2232722914426829758,
    ]


def test_one_flipped_bit_changes_half_of_the_key() -> None:
    """Mean over 63 input bits × 2,000 keys; within 6 standard errors of 32, a false alarm in 2e-9."""
    values = np.arange(2_000, dtype=np.int64) * 7919
    changed = [
        np.bitwise_count(integer_keys(values) ^ integer_keys(values ^ np.int64(1 << bit))).mean() for bit in range(63)
    ]
    assert abs(np.mean(changed) - 32) < 6 * 4 / np.sqrt(63 * 2_000)


def test_units_lie_in_the_half_open_unit_interval() -> None:
    values = units(integer_keys(np.arange(100_000)), 3)
    assert values.min() >= 0
    assert values.max() < 1
    assert_array_equal(values, units(integer_keys(np.arange(100_000)), 3))
