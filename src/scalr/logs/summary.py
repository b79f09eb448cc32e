"""Sizes, overlap and times of a pair of logs, and warnings about weak points."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from scalr.foundation import Codes, Int64
from scalr.logs.event_log import EventLog, Pair, TimeUnit, Vocabulary, has_events
from scalr.logs.source_counts import DomainCount, SourceCounts
from scalr.logs.stored import StoredPair
from scalr.logs.times import format_time

FEW_OVERLAP_USERS = 100
FEW_OVERLAP_SHARE = 0.05  # of the target users
FEW_TARGET_EVENTS = 1_000
FEW_ALONE_SHARE = 0.001  # of the users; smaller shares without source events are not examined, which takes long
LEAKY_SHARE = 0.05  # of the target interactions with items that are in both domains


@dataclass(frozen=True, slots=True)
class DomainSummary:
    """Figures of a domain. Interactions are distinct (user, item) pairs with label 1.

    Attributes:
        name: Name of the domain.
        role: "source" or "target".
        users: Users with an event.
        items: Items with an event.
        events: Rows of the log.
        interactions: Distinct (user, item) pairs with label 1.
        repeated_share: Share of the events with label 1 that repeat an interaction, in [0, 1].
        density: interactions / (users * items), in [0, 1].
        positive_share: Share of events with label 1, in [0, 1]; None without labels.
        time_range: First and last time as text; None without time.
    """

    name: str
    role: str
    users: int
    items: int
    events: int
    interactions: int
    repeated_share: float
    density: float
    positive_share: float | None
    time_range: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class PairSummary:
    """Figures of a pair of logs.

    Attributes:
        domains: Source domains, then the target domain.
        overlap_users: Users with an event of label 1 in both domains.
        overlap_share_of_target: Overlap users as a share of the target users with an event of label 1, in [0, 1].
        overlap_share_of_source: Overlap users as a share of the source users with an event of label 1, in [0, 1].
        target_users_without_source: Target users without any source event.
        warnings: Sentences on weak points.
    """

    domains: tuple[DomainSummary, ...]
    overlap_users: int
    overlap_share_of_target: float
    overlap_share_of_source: float
    target_users_without_source: int
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        return asdict(self)


def overlap_users(counts: SourceCounts, target: EventLog) -> Codes:
    """Return the codes of users with at least one positive event in both domains, ascending."""
    return np.flatnonzero((counts.positives_of_user > 0) & has_events(target.positives())).astype(np.int32)


def summarise(pair: Pair | StoredPair) -> PairSummary:
    """Summarise a pair of logs: sizes and overlap, with the warnings from reading."""
    stored = StoredPair.from_pair(pair)
    source, counts, target = stored.source, stored.source_counts, pair.target
    names = source.items.domains if len(source.items.domains) > 1 else (source.name,)
    domains = [
        _summarise_source(count, name, source.time_unit) for count, name in zip(counts.domains, names, strict=True)
    ]
    overlap = len(overlap_users(counts, target))
    return PairSummary(
        domains=(*domains, _summarise_target(target, target.name, "target")),
        overlap_users=overlap,
        overlap_share_of_target=overlap / max(_n_distinct(target.positives().user), 1),
        overlap_share_of_source=overlap / max(int(np.count_nonzero(counts.positives_of_user)), 1),
        target_users_without_source=len(_without_source(counts, target)),
        warnings=pair.warnings,
    )


def weak_points(pair: StoredPair) -> tuple[str, ...]:
    """Return warnings about weak points of the logs, as sentences with figures."""
    counts = pair.source_counts
    warnings = [*_overlap_warnings(counts, pair.target), *_item_warnings(pair), *_user_warnings(counts, pair.target)]
    n_events = len(pair.target.positives())
    if n_events < FEW_TARGET_EVENTS:
        warnings.append(f"The target has only {n_events:,} events: too few to measure small effects.")
    warnings += _time_warnings(pair, counts)
    if pair.target.time is None:
        warnings.append("The logs have no time: nothing can be split by time, and the order of events is not used.")
    return tuple(warnings)


def _overlap_warnings(counts: SourceCounts, target: EventLog) -> list[str]:
    overlap, n_target = len(overlap_users(counts, target)), _n_distinct(target.positives().user)
    if overlap < FEW_OVERLAP_USERS:
        return [f"Only {overlap:,} users are active in both domains; fewer than {FEW_OVERLAP_USERS} can teach little."]
    if overlap < FEW_OVERLAP_SHARE * n_target:
        share = 100 * overlap / n_target
        return [f"Only {overlap:,} of {n_target:,} target users ({share:.1f} %) are active in both domains."]
    return []


def _item_warnings(pair: StoredPair) -> list[str]:
    """Warn of item ids that occur in both domains: the target events may be copies of source events."""
    source, target = pair.source, pair.target
    if source.items.ids.type != target.items.ids.type:
        return []
    place = pc.fill_null(pc.index_in(source.items.ids, value_set=target.items.ids), -1).to_numpy()
    if not (place >= 0).any():
        return []
    n_items, real_target = len(target.items), target.positives()
    in_source = np.unique(np.concatenate([_shared_pairs(part.positives(), place, n_items) for part in source.parts()]))
    shared = np.intersect1d(in_source % n_items, real_target.item)
    if not len(shared):
        return []
    in_target = np.unique(_pairs(real_target.user, real_target.item, n_items)[np.isin(real_target.item, shared)])
    share = float(np.isin(in_target, in_source).mean())
    noun = "item id is" if len(shared) == 1 else "item ids are"
    warning = f"{len(shared):,} {noun} in both domains (such as {target.items.ids[int(shared[0])].as_py()!r})"
    if share >= LEAKY_SHARE:
        leak = f"for {100 * share:.0f} % of their target events the user has the same item in the source"
        return [f"{warning}, and {leak}: test events may leak, so remove these items from one domain."]
    return [f"{warning}: if they are the same things, remove them from one domain; if not, rename them."]


def _shared_pairs(part: EventLog, place: npt.NDArray[Any], n_items: int) -> Int64:
    """Return the distinct (user, target item) pairs of source events whose item id is in the target too.

    Args:
        part: Source events.
        place: Shape (n_source_items,), code of the target item with the same id; -1 for none.
        n_items: Number of target items.
    """
    target_item = place[part.item]
    is_shared = target_item >= 0
    return np.unique(_pairs(part.user[is_shared], target_item[is_shared], n_items))


def _time_warnings(pair: StoredPair, counts: SourceCounts) -> list[str]:
    """Warn of logs whose time ranges do not overlap: a wrong unit, or files of different years."""
    target = pair.target
    if counts.time_range is None or target.time is None or not len(target):
        return []
    spans = [counts.time_range, (int(target.time.min()), int(target.time.max()))]
    if spans[0][0] <= spans[1][1] and spans[1][0] <= spans[0][1]:
        return []
    first, second = (
        " to ".join(format_time(end, unit) for end in span)
        for span, unit in zip(spans, (pair.source.time_unit, target.time_unit), strict=True)
    )
    return [f"The logs share no time: the source runs from {first}, the target from {second}. Is a time unit wrong?"]


def _user_warnings(counts: SourceCounts, target: EventLog) -> list[str]:
    warnings = []
    single, active = int((counts.events_of_user == 1).sum()), int((counts.events_of_user > 0).sum())
    if single > active / 2:
        warnings.append(f"{single:,} of {active:,} source users have a single source event: it predicts little.")
    if (n_alike := count_lookalikes(counts, target)) > 0:
        noun = "user has" if n_alike == 1 else "users have"
        warnings.append(
            f"{n_alike:,} target {noun} no source events, but a source id that differs only in case, spaces, leading "
            "zeros or a trailing '.0': are these the same users?"
        )
    return warnings


def count_lookalikes(counts: SourceCounts, target: EventLog) -> int:
    """Count target users without source events whose id is similar to that of a source user.

    Ids are similar if they differ only in outer spaces, case, leading zeros or a trailing ".0".
    """
    alone = _without_source(counts, target)
    if pa.types.is_integer(target.users.ids.type) or len(alone) <= FEW_ALONE_SHARE * len(target.users):
        return 0
    source_ids = _normal_ids(target.users, np.flatnonzero(counts.events_of_user).astype(np.int32))
    return int(pc.sum(pc.is_in(_normal_ids(target.users, alone), value_set=source_ids)).as_py() or 0)


def _without_source(counts: SourceCounts, target: EventLog) -> Codes:
    """Return the users with target events and no source events, ascending."""
    return np.flatnonzero(has_events(target) & (counts.events_of_user == 0)).astype(np.int32)


def _normal_ids(users: Vocabulary, codes: Codes) -> pa.Array:
    ids = pc.utf8_lower(pc.utf8_trim_whitespace(users.ids.take(pa.array(codes))))
    ids = pc.replace_substring_regex(ids, pattern=r"\.0$", replacement="")
    return pc.replace_substring_regex(ids, pattern="^0+(.)", replacement=r"\1")


def _summarise_target(log: EventLog, name: str, role: str) -> DomainSummary:
    real = log.positives()
    interactions = int(np.count_nonzero(real.starts_interaction()))
    users, items = _n_distinct(log.user), _n_distinct(log.item)
    span = None
    if log.time is not None and len(log):
        span = (format_time(int(log.time.min()), log.time_unit), format_time(int(log.time.max()), log.time_unit))
    return DomainSummary(
        name=name,
        role=role,
        users=users,
        items=items,
        events=len(log),
        interactions=interactions,
        repeated_share=1 - interactions / len(real) if len(real) else 0.0,
        density=interactions / (users * items) if len(log) else 0.0,
        positive_share=None if log.label is None else len(real) / max(len(log), 1),
        time_range=span,
    )


def _summarise_source(count: DomainCount, name: str, unit: TimeUnit | None) -> DomainSummary:
    span = None if count.time_range is None else tuple(format_time(end, unit) for end in count.time_range)
    return DomainSummary(
        name=name,
        role="source",
        users=count.users,
        items=count.items,
        events=count.events,
        interactions=count.interactions,
        repeated_share=1 - count.interactions / count.positives if count.positives else 0.0,
        density=count.interactions / (count.users * count.items) if count.events else 0.0,
        positive_share=count.positives / max(count.events, 1) if count.has_labels else None,
        time_range=None if span is None else (span[0], span[1]),
    )


def _pairs(user: npt.NDArray[Any], item: npt.NDArray[Any], n_items: int) -> Int64:
    """Return (user, item) pairs as single numbers, shape (n,)."""
    joined: Int64 = user.astype(np.int64) * n_items + item
    return joined


def _n_distinct(codes: Codes) -> int:
    return int(np.count_nonzero(np.bincount(codes)))
