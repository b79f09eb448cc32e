"""Factors fitted from the keys of what users have, and draws of parts by them, without Spark: the local engine's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal
from tests.engines.spark.worlds import skewed_tables

from scalr.engines.generation import generate_from
from scalr.engines.spark.cluster.form import SourceForm
from scalr.engines.spark.cluster.part import TargetSide, grouped_rows, pack_part, parts_of, read_part
from scalr.engines.spark.drawing.tasks import DrawContext, chunks_of
from scalr.engines.spark.fitting import factors, fitting
from scalr.engines.spark.fitting.counting import FitInputs
from scalr.foundation.config import Steps, TranslateSettings
from scalr.foundation.receipts import Receipt
from scalr.logs.event_log import EventLog, Vocabulary
from scalr.logs.log_request import LogRequest
from scalr.logs.reading import read_logs
from scalr.logs.stored import StoredPair
from scalr.synthesis.parts import Count
from scalr.synthesis.stages import RealPairs
from scalr.synthesis.translators.affinity import fit_affinity
from scalr.synthesis.translators.cooccurrence import TargetHistories, target_histories
from scalr.synthesis.translators.factor import fit_factor


@dataclass
class Sent:
    """A value as tasks get it."""

    value: Any

    def open(self) -> Any:
        return self.value


@dataclass
class Frame:
    """Batches as Spark would hand them on."""

    batches: list[pa.RecordBatch]

    @classmethod
    def made(cls, given: Any, work: Any, schema: str) -> Frame:
        return cls(list(work(given.batches if isinstance(given, Frame) else given)))

    @classmethod
    def by(cls, given: Frame, column: str, n: int) -> Frame:
        rows = given.toArrow()
        shuffled = rows.take(pa.array(np.random.default_rng(1).permutation(len(rows))))
        assert max(rows[column].to_pylist()) < n
        return cls(shuffled.sort_by(column).to_batches(max_chunksize=500))

    def toArrow(self) -> pa.Table:  # noqa: N802 - Spark's name
        return pa.Table.from_batches(self.batches)


def counts_of(stored: StoredPair) -> Any:
    """Return what fitting asks for of what Spark counts."""
    target = np.bincount(stored.target.positives().user, minlength=len(stored.target.users)) > 0
    pairs = stored.source_counts.interactions_of_user
    return SimpleNamespace(
        interactions=int(pairs.sum()), shared_interactions=int(pairs[target].sum()), events=0, paths=0, longest=0
    )


def labelled_tables() -> tuple[pa.Table, pa.Table]:
    source, target = skewed_tables(users=300, events=(3_000, 900))
    return source.append_column("label", pa.array(np.random.default_rng(3).integers(0, 2, len(source)))), target


def target_of(stored: StoredPair) -> EventLog:
    """Return the target log as Spark's driver reads it: its users are its own alone."""
    log, words = stored.target, stored.target.users
    mine = np.unique(log.user)
    users = Vocabulary(words.ids.take(pa.array(mine)), words.keys[mine], words.domain[mine], words.domains)
    return replace(log, users=users, user=np.searchsorted(mine, log.user).astype(np.int32))


def rows_of(source: pa.Table, n_parts: int) -> list[pa.RecordBatch]:
    """Return the rows of a source in parts of whole items, as tasks read them."""
    number = {item: place % n_parts for place, item in enumerate(sorted(set(source["item"].to_pylist())))}
    columns = {
        "part": pa.array([number[item] for item in source["item"].to_pylist()], pa.int32()),
        "own": pa.array([True] * len(source)),
        "domain": pa.array([0] * len(source), pa.int16()),
        "user": source["user"],
        "item": source["item"],
        "time": pa.array(source["time"].to_numpy() * 1_000_000),
        "label": source["label"].cast(pa.int8()),
    }
    return pa.table(columns).sort_by("part").to_batches(max_chunksize=700)


def fitted_on(
    batches: list[pa.RecordBatch], stored: StoredPair, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> tuple[SourceForm, TargetSide, list[pa.RecordBatch], Callable[[], Any]]:
    """Return what parts are read by, the parts as later tasks get them, and what fits on them."""

    monkeypatch.setattr(factors, "in_arrow", Frame.made)
    monkeypatch.setattr(factors, "by_number", Frame.by)
    target, unit = target_of(stored), stored.source.time_unit
    form = SourceForm("source", ("source",), ("user", "item", "time", "label"), True, True, target.columns, unit, None)
    start = np.concatenate([[0], np.cumsum(np.bincount(target.user, minlength=len(target.users)))])
    side = TargetSide(target, RealPairs(start, target.item), None)
    nothing: Any = None
    pair = StoredPair(nothing, target, nothing)
    packed = []
    for number, rows in grouped_rows(batches, "part"):
        whole = pack_part(read_part(number, rows, form, side))
        for piece in (whole[:1000], whole[1000:]):
            packed.append(pa.record_batch({"part": pa.array([number], pa.int32()), "packed": pa.array([piece])}))
    histories = fitting.histories_of(pair, steps.translate)
    inputs = inputs_of(pair, histories, steps.translate, packed, side, counts_of(stored))
    return form, side, packed, lambda: fitting.fit_on_spark(inputs)


def inputs_of(
    pair: StoredPair,
    histories: TargetHistories,
    settings: TranslateSettings,
    packed: Any,
    side: TargetSide,
    counts: Any,
) -> FitInputs:
    """Return inputs of fitting whose broadcasts stay in this process."""
    broadcasts: Any = SimpleNamespace(send=Sent)
    sent: Any = Sent(side)
    return FitInputs(pair, histories, settings, packed, sent, None, counts, broadcasts)


COLUMNS = ("user", "source_item", "item", "time", "draw", "confidence", "support")
SETTINGS: dict[str, dict[str, Any]] = {
    "conditioned": {"translator": "conditioned"},
    "conditioned, few": {"translator": "conditioned", "privacy": {"k": 4}, "window_days": 9},
    "factor": {"translator": "factor", "shortlist": 7},
    "factor, few": {"translator": "factor", "privacy": {"k": 4}, "window_days": 9},
    "conditioned, sample": {"translator": "conditioned", "fit_pairs": 1000},
    "factor, sample": {"translator": "factor", "shortlist": 7, "fit_pairs": 1000},
}


@pytest.mark.parametrize("n_parts", [1, 3, 7])
@pytest.mark.parametrize("name", SETTINGS)
def test_parts_draw_what_the_whole_log_draws(name: str, n_parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = labelled_tables()
    steps = Steps.parse({"seed": 2, "translate": {"rank": 12, **SETTINGS[name]}, "refine": {"align": None}})
    stored = read_logs(LogRequest(source, target))
    wanted = generate_from(stored, steps, Receipt("read", 0, 0)).table().select(COLUMNS)
    form, side, packed, fit = fitted_on(rows_of(source, n_parts), stored, steps, monkeypatch)
    fitted, nothing = fit(), (SimpleNamespace(),) * 3
    context: Any = DrawContext(form, side, fitted.over(fitted.translation.pair), steps.sample, 1, 2, *nothing, None)
    found = []
    for part in parts_of(packed, side):
        for chunk in chunks_of(part, context, (), Count()):
            drawn = chunk.rows()
            columns = {
                "user": part.pair.target.users.ids.take(pa.array(drawn.user)),
                "source_item": part.pair.source.items.ids.take(pa.array(drawn.source_item)),
                "item": part.pair.target.items.ids.take(pa.array(drawn.item)),
                "time": pa.array(drawn.time // 1_000_000),
                **{one: pa.array(getattr(drawn, one).copy()) for one in ("draw", "confidence", "support")},
            }
            found.append(pa.table(columns).cast(wanted.schema))
    order = [(name, "ascending") for name in COLUMNS]
    assert len(wanted) > 1_000
    assert pa.concat_tables(found).sort_by(order).equals(wanted.sort_by(order))


@pytest.mark.parametrize("fit_pairs", [1 << 24, 1000])
def test_factors_and_lists_are_equal_bit_for_bit(fit_pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(factors, "BUCKET_PAIRS", 200)
    source, target = labelled_tables()
    stored = read_logs(LogRequest(source, target))
    steps = Steps.parse({"translate": {"translator": "factor", "rank": 12, "fit_pairs": fit_pairs}})
    settings = steps.translate
    assert stored.source_counts.interactions_of_user.sum() > 1200
    _, side, packed, _ = fitted_on(rows_of(source, 4), stored, steps, monkeypatch)
    nothing: Any = None
    pair = StoredPair(nothing, side.target, nothing)
    of_target = target_histories(side.target.positives(), None)
    found = factors.fit_source_factors(inputs_of(pair, of_target, settings, packed, side, counts_of(stored)))

    histories = target_histories(stored.target.positives(), None)
    wanted = fit_affinity(stored, histories.start, histories.item, settings.rank, settings.ridge, fit_pairs)
    rows = np.flatnonzero(stored.source_counts.interactions_of_user > 0)
    assert 0 < len(rows) < len(found.keys)
    affinity = found.of_source_users()
    assert_array_equal(found.source_keys, stored.source.users.keys[rows])
    assert_array_equal(affinity.user_factors, wanted.user_factors[rows])
    assert_array_equal(affinity.own_share, wanted.own_share[rows])
    assert_array_equal(affinity.item_factors, wanted.item_factors)
    assert affinity.own_share.any()
    lists, local = found.lists(settings.shortlist), fit_factor(stored, settings).lists
    for name in ("item", "score", "total", "item_users"):
        assert_array_equal(getattr(lists, name), getattr(local, name))


@pytest.mark.parametrize(("translator", "each"), [("conditioned", 12 + 4 * 64), ("factor", 16 + 8 * 30)])
def test_what_a_machine_holds_of_a_user(translator: str, each: int) -> None:
    settings = TranslateSettings(translator=translator, rank=50, shortlist=40)
    assert factors.bytes_per_user(settings, n_target=30) == each
