"""Codes come from ids alone, and equal hashes never merge two ids."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalr.foundation.kernels.hashing import combine_keys
from scalr.logs.event_log import Vocabulary
from scalr.logs.tables.digests import typed_keys
from scalr.logs.vocabulary import IdCoder, IdColumn, unify


def column(values: list[int] | list[str], type_: pa.DataType | None = None) -> IdColumn:
    return IdColumn.from_values(
        pa.chunked_array(
            [pa.array(values, type_ or (pa.int64() if not values or isinstance(values[0], int) else pa.large_string()))]
        )
    )


def encode(columns: list[IdColumn], *arguments: Any, **options: Any) -> tuple[Vocabulary, list[npt.NDArray[np.int32]]]:
    """The vocabulary, and the code of every row."""
    vocabulary, codes = unify([one.distinct for one in columns], *arguments, **options)
    return vocabulary, [code[one.place] for code, one in zip(codes, columns, strict=True)]


def two_bits(ids: pa.Array) -> npt.NDArray[np.uint64]:
    """A hash that makes most ids collide."""
    return typed_keys(ids) & np.uint64(3)


IDS = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=40),
    st.lists(st.text(max_size=5), min_size=1, max_size=40),
)


@given(IDS)
def test_codes_lead_back_to_the_ids(ids: list[int] | list[str]) -> None:
    vocabulary, (codes,) = encode([column(ids)])
    assert vocabulary.ids.take(pa.array(codes)).to_pylist() == ids
    assert len(vocabulary) == len(set(ids))
    assert (np.diff(vocabulary.keys.astype(object)) > 0).all()


@given(IDS)
def test_equal_hashes_keep_ids_apart_and_in_one_order(ids: list[int] | list[str]) -> None:
    vocabulary, (codes,) = encode([column(ids)], hash_ids=two_bits)
    again, _ = encode([column(ids[::-1])], hash_ids=two_bits)
    assert vocabulary.ids.take(pa.array(codes)).to_pylist() == ids
    assert vocabulary.ids.to_pylist() == again.ids.to_pylist()
    place = [id_.encode() if isinstance(id_, str) else id_ for id_ in vocabulary.ids.to_pylist()]
    by_key_then_id = sorted(zip(vocabulary.keys.tolist(), place, strict=True))
    assert [id_ for _, id_ in by_key_then_id] == place


def test_equal_hashes_keep_domains_apart() -> None:
    columns = [column([7, 8, 9]), column([9, 8, 8, 7])]
    plain, _ = encode(columns, ("feed", "video"), hash_ids=lambda ids: np.zeros(len(ids), np.uint64))
    vocabulary, codes = encode(columns, ("feed", "video"), hash_ids=two_bits)
    assert len(vocabulary) == len(plain) == 6
    assert not set(codes[0]) & set(codes[1])
    for place, (given_ids, code) in enumerate(zip(([7, 8, 9], [9, 8, 8, 7]), codes, strict=True)):
        assert vocabulary.ids.take(pa.array(code)).to_pylist() == given_ids
        assert (vocabulary.domain[code] == place).all()


def test_users_of_several_logs_share_codes() -> None:
    vocabulary, (first, second) = encode([column(["a", "b"]), column(["b", "c", "b"])])
    assert len(vocabulary) == 3
    assert first[1] == second[0] == second[2]
    assert vocabulary.ids.type == pa.string()
    assert set(vocabulary.domain) == {0}


def test_keys_of_source_items_hash_the_name_of_their_domain() -> None:
    vocabulary, (codes,) = encode([column([5])], ("feed",))
    expected = combine_keys(typed_keys(pa.array([5])), typed_keys(pa.array(["feed"])))
    assert vocabulary.keys[codes].tolist() == expected.tolist()
    assert vocabulary.domains == ("feed",)


def test_source_items_of_two_types_become_text_with_the_keys_of_their_types() -> None:
    vocabulary, (numbers, texts) = encode([column([7]), column(["7"])], ("a", "b"))
    assert vocabulary.ids.to_pylist() == ["7", "7"]
    key = combine_keys(typed_keys(pa.array([7])), typed_keys(pa.array(["a"])))
    assert vocabulary.keys[numbers[0]] == key[0] != vocabulary.keys[texts[0]]


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string()])
def test_keys_do_not_depend_on_slices_or_the_kind_of_text(type_: pa.DataType) -> None:
    ids = pa.array(["x", "", "äö", "long enough to need two words"], type_)
    whole = typed_keys(ids)
    assert typed_keys(ids.slice(1, 2)).tolist() == whole[1:3].tolist()
    assert whole.tolist() == typed_keys(ids.cast(pa.string())).tolist()
    assert len(set(whole.tolist())) == 4


def test_no_ids() -> None:
    vocabulary, (codes,) = encode([column([])])
    assert len(vocabulary) == len(codes) == 0


@given(IDS, st.integers(1, 5))
def test_a_coder_gives_codes_by_first_occurrence_in_any_batches_even_if_all_keys_are_equal(
    ids: list[int] | list[str], size: int
) -> None:
    array = column(ids).distinct.take(pa.array(column(ids).place))
    first: dict[int | str, int] = {}
    wanted = [first.setdefault(one, len(first)) for one in ids]
    for hash_ids in (typed_keys, two_bits, lambda some: np.zeros(len(some), np.uint64)):
        coder = IdCoder(is_text=pa.types.is_large_string(array.type), hash_ids=hash_ids)
        found = [code for start in range(0, len(array), size) for code in coder.add(array.slice(start, size)).tolist()]
        assert found == wanted
        assert coder.distinct().to_pylist() == list(first)
        assert len(coder) == len(first)


def test_a_coder_grows() -> None:
    """More ids than a table begins with, in texts that share most bytes."""
    ids = [f"a long common beginning {number}" for number in range(20_000)]
    coder = IdCoder(is_text=True)
    codes = [coder.add(pa.array(ids, pa.large_string())), coder.add(pa.array(ids[::-1], pa.string()))]
    assert codes[0].tolist() == list(range(20_000)) == codes[1].tolist()[::-1]
    assert coder.distinct().to_pylist() == ids
