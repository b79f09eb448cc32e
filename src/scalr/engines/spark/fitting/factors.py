"""Factors of all source users, bit for bit the local engine's.

The driver fits them from the keys of what users have, of a bounded sample of users where there are many; tasks then
find the factors of all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scalr.engines.spark.cluster.broadcast import Ship, Shipped
from scalr.engines.spark.cluster.layout import by_number, in_arrow, range_of
from scalr.engines.spark.cluster.part import PartPair, TargetSide, groups_of, parts_of
from scalr.engines.spark.cluster.session import no_pandas_warning
from scalr.engines.spark.fitting.counting import SourceCount
from scalr.foundation import LANES, Codes, ConfigError, Int64, Keys, Mask, TranslateSettings
from scalr.logs import Vocabulary
from scalr.synthesis import (
    FitSample,
    Shortlists,
    SourceMatrix,
    Subspace,
    TargetHistories,
    UserAffinity,
    regressed,
    shortlists_of,
)

BY_FACTORS = ("conditioned", "factor")
"""Translators that fit factors."""

MOST_BYTES = 1 << 30  # of factors or lists that every machine holds
BUCKET_PAIRS = 1 << 21  # of users who are projected together, on average
PAIR_BYTES = 8 + 3 * 8  # of a pair in the shuffle by user
_PAIRS = "user bigint, item bigint"
_KEYED = "user bigint, item bigint, bucket int"
_ROWS = "user bigint, factors binary"


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Gives the keys of the distinct positive (user, source item) of each part: no two parts have the same."""

    side: Shipped[TargetSide]
    sample: FitSample
    has_target: Shipped[Mask]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for part in parts_of(batches, self.side.open()):
            has_target = (part.place >= 0) & self.has_target.open()[np.maximum(part.place, 0)]
            keys = part.pair.source.users.keys
            user, item = _distinct(part, None if self.sample.is_whole else self.sample.takes(keys, has_target))
            yield pa.RecordBatch.from_arrays([pa.array(user), pa.array(item)], names=["user", "item"])


@dataclass(frozen=True, slots=True)
class _Keyed:
    """Gives the same of all users, with a bucket that all of a user's are in."""

    side: Shipped[TargetSide]
    buckets: int

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for part in parts_of(batches, self.side.open()):
            user, item = _distinct(part, None)
            bucket = range_of(user.view(np.uint64), np.full(len(user), self.buckets, np.int32)).astype(np.int32)
            arrays = [pa.array(one) for one in (user, item, bucket)]
            yield pa.RecordBatch.from_arrays(arrays, names=["user", "item", "bucket"])


@dataclass(frozen=True, slots=True)
class _Project:
    """Gives users in the subspace, from all that they have."""

    subspace: Shipped[Subspace]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        subspace = self.subspace.open()
        for _, rows in groups_of(batches, "bucket"):
            user_keys, item_keys = _keys(rows)
            item = np.minimum(np.searchsorted(subspace.item_keys, item_keys), len(subspace.item_keys) - 1)
            keys, user = np.unique(user_keys, return_inverse=True)
            known = subspace.item_keys[item] == item_keys
            matrix = _matrix(user[known].astype(np.int32), item[known], len(keys), len(subspace.item_keys))
            factors = subspace.rows(matrix)
            told = pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(factors[:1].nbytes), len(keys), [None, pa.py_buffer(factors)]
            )
            arrays = [pa.array(keys.view(np.int64)), told.cast(pa.binary())]
            yield pa.RecordBatch.from_arrays(arrays, names=["user", "factors"])


def _distinct(part: PartPair, chosen: Mask | None) -> tuple[Int64, Int64]:
    """Return keys of the distinct positive (user, item) of a part, as signed numbers, of some of its users or all."""
    log = part.own().positives()
    new = log.starts_interaction()
    if chosen is not None:
        new &= chosen[log.user]
    user, item = log.users.keys[log.user[new]], log.items.keys[log.item[new]]
    return user.view(np.int64), item.view(np.int64)


def _keys(rows: Any) -> tuple[Keys, Keys]:
    user, item = (rows[name].to_numpy().view(np.uint64) for name in ("user", "item"))
    return user, item


def _matrix(user: Codes, item: Int64, n_users: int, n_items: int) -> SourceMatrix:
    """Return pairs as a matrix, in canonical order, so that every sum is the local engine's."""
    order = np.lexsort((user, item))
    return SourceMatrix.of(_starts(item, n_items), user[order], n_users)


@dataclass(frozen=True, slots=True, eq=False)
class SourceFactors:
    """Factors of all users, source users and target users together.

    Attributes:
        keys: Shape (n_users,), ascending.
        has_source: Shape (n_users,), whether they have positive source events.
        affinity: By these users.
        target_start: Shape (n_users + 1,), where each user's target items start.
        target_item: The target items.
    """

    keys: Keys
    has_source: npt.NDArray[np.bool_]
    affinity: UserAffinity
    target_start: Int64
    target_item: Codes

    @property
    def source_keys(self) -> Keys:
        """Return the keys of users with positive source events, ascending."""
        return self.keys[self.has_source]

    def of_source_users(self) -> UserAffinity:
        """Return the affinity of users with positive source events alone; others draw nothing."""
        whole, rows = self.affinity, self.has_source
        return UserAffinity(whole.user_factors[rows], whole.item_factors, whole.own_share[rows], whole.rank)

    def lists(self, length: int) -> Shortlists:
        """Return the nearest items of users with positive source events; their places are not used."""
        return shortlists_of(self.affinity, self.has_source, self.target_start, self.target_item, length)


def bytes_per_user(settings: TranslateSettings, n_target: int) -> int:
    """Return what every machine holds of a source user."""
    if settings.translator == "factor":
        return 16 + 8 * min(settings.shortlist, n_target)
    return 12 + 4 * (-(-settings.rank // LANES) * LANES)


def fit_factors(
    packed: Any, side: Shipped[TargetSide], counted: SourceCount, users: Vocabulary, histories: TargetHistories,
    n_target: int, settings: TranslateSettings, ship: Ship,
) -> SourceFactors:  # fmt: skip
    """Fit what `conditioned` and `factor` know of users, on about `fit_pairs` distinct positive (user, source item).

    Their keys are collected. Where there are more, those of a sample of users are, and the factors of all users come
    from the subspace that the sample fits; see `FitSample`.

    Args:
        packed: The parts.
        side: What parts need of the target log.
        counted: The source in numbers.
        users: Target users.
        histories: Their target items.
        n_target: Number of target items.
        settings: Rank, ridge and how much to fit on.
        ship: Hands a value to Spark.

    Raises:
        ConfigError: If there are more users than every machine may hold factors of.
    """
    has_target = np.diff(histories.start) > 0
    others = counted.interactions - counted.shared_interactions
    sample = FitSample.of(counted.shared_interactions, others, settings.fit_pairs)
    with no_pandas_warning():
        user_keys, item_keys = _keys(in_arrow(packed, _Pairs(side, sample, ship(has_target)), _PAIRS).toArrow())
    found, is_shared = np.unique(user_keys), users.keys[has_target]
    n_shared = int(np.isin(found, is_shared).sum())
    n_users = n_shared / sample.shared + ((len(found) - n_shared) / sample.other if sample.other else 0)
    _check_users(settings, round(n_users), bytes_per_user(settings, n_target))
    keys = np.union1d(found, users.keys)
    items, item = np.unique(item_keys, return_inverse=True)
    matrix = _matrix(np.searchsorted(keys, user_keys).astype(np.int32), item, len(keys), len(items))
    del user_keys, item_keys, item
    subspace = Subspace.of(matrix, items, settings.rank)
    has_source, fitted = matrix.user_weight > 0, None
    if sample.is_whole:
        rows = subspace.rows(matrix)
    else:
        found, projected = _projected(packed, side, counted.interactions, ship(subspace))
        keys = np.union1d(found, users.keys)
        mine = np.searchsorted(keys, found)
        rows, has_source = np.zeros((len(keys), settings.rank), np.float32), np.zeros(len(keys), np.bool_)
        rows[mine], has_source[mine] = projected, True
        fitted = sample.takes(keys, np.isin(keys, is_shared))
    owner = np.repeat(np.searchsorted(keys, users.keys), np.diff(histories.start))
    start = _starts(owner, len(keys))
    affinity = regressed(rows, start, histories.item, n_target, settings.rank, settings.ridge, fitted)
    return SourceFactors(keys, has_source, affinity, start, histories.item)


def _projected(
    packed: Any, side: Shipped[TargetSide], n_pairs: int, subspace: Shipped[Subspace]
) -> tuple[Keys, npt.NDArray[np.float32]]:
    """Return the keys of all users with positive source events, and their rows in the subspace."""
    n_buckets = n_pairs // BUCKET_PAIRS + 1
    pairs = by_number(in_arrow(packed, _Keyed(side, n_buckets), _KEYED), "bucket", n_buckets)
    with no_pandas_warning():
        told = in_arrow(pairs, _Project(subspace), _ROWS).toArrow()
    keys, width = told["user"].to_numpy().view(np.uint64), 4 * subspace.open().basis.shape[1]
    rows = told["factors"].cast(pa.binary(width)).combine_chunks()
    factors = np.frombuffer(rows.buffers()[1], np.float32, len(keys) * width // 4).reshape(len(keys), -1)
    order = np.argsort(keys)
    return keys[order], factors[order]


def _starts(group: npt.NDArray[Any], n_groups: int) -> Int64:
    return np.concatenate([[0], np.cumsum(np.bincount(group, minlength=n_groups))]).astype(np.int64)


def _check_users(settings: TranslateSettings, n_users: int, each: int) -> None:
    if n_users * each > MOST_BYTES:
        name = "shortlist" if settings.translator == "factor" else "rank"
        raise ConfigError(
            f"translator '{settings.translator}' keeps {each:,} bytes for each of {n_users:,} source users",
            expected=f"at most {MOST_BYTES:,} bytes in all with --engine spark: every machine holds them",
            fix=f"choose a smaller translate.{name}, or --translator cooccurrence",
        )
