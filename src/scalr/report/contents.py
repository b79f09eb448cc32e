"""Gather what a report shows from the values of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scalr.output import environment
from scalr.receipt import Receipt
from scalr.refine import confidence_lower_bound
from scalr.report.page import ReportData
from scalr.study import Study
from scalr.summary import summarise
from scalr.synthetic import SyntheticEvents, catalogue_of

N_EXAMPLES = 12
EXAMPLE_SUPPORT = 5  # least users behind an example, so that a page shows no single person's pair
CURVE_POINTS = 50


def generation_contents(
    events: SyntheticEvents, receipts: Sequence[Receipt], facts: Mapping[str, Any], title: str | None = None
) -> ReportData:
    """Return the contents for synthetic events alone, without a study."""
    return _contents(events, receipts, facts, {"sample": events}, title)


def study_contents(
    done: Study,
    content: Mapping[str, Any],
    facts: Mapping[str, Any],
    notes: Sequence[str] = (),
    *,
    title: str | None = None,
    whole: SyntheticEvents | None = None,
    receipts: Sequence[Receipt] = (),
) -> ReportData:
    """Return the contents for a study.

    Args:
        done: The study.
        content: Its `study.json`.
        facts: What the manifest says.
        notes: Sentences to read before any number.
        title: What the run is about.
        whole: Synthetic events of the whole logs, where a run made them; else the study's first ones are shown.
        receipts: Those of `whole`.
    """
    studied = done.synthetic["scalr"]
    shown = studied if whole is None else whole
    covered = {"sample": studied} | ({"top1": done.synthetic["top1"]} if "top1" in done.synthetic else {})
    return _contents(shown, receipts or shown.receipts, facts, covered, title, notes, content)


def _contents(
    events: SyntheticEvents,
    receipts: Sequence[Receipt],
    facts: Mapping[str, Any],
    covered: Mapping[str, SyntheticEvents],
    title: str | None,
    notes: Sequence[str] = (),
    study: Mapping[str, Any] | None = None,
) -> ReportData:
    pair = events.pair
    domains = " and ".join(pair.source.items.domains)
    stages = {receipt.stage: receipt.to_json() for receipt in receipts}
    return ReportData(
        title=title or f"{domains} → {pair.target.name}",
        subtitle=f"scalr {facts['command']}, seed {facts['seed']}",
        notes=notes,
        warnings=pair.warnings,
        pair=summarise(pair).to_json(),
        stages={name: {k: v for k, v in stage.items() if k != "marginals"} for name, stage in stages.items()},
        coverage={name: one.item_coverage() for name, one in covered.items()},
        curves={name: cumulative_shares(one) for name, one in covered.items()},
        alignment=stages.get("align", {}).get("marginals", ()),
        study=study,
        examples=examples(events),
        settings=facts["settings"],
        environment=environment(),
    )


def cumulative_shares(events: SyntheticEvents) -> list[float]:
    """Return the share of events that fall on the k most frequent items, at `CURVE_POINTS` even steps of k.

    The last step is the whole catalogue, so a curve that rises late stands for events spread over many items.
    """
    counts = np.bincount(events.item, minlength=len(events.pair.target.items))
    counts = np.sort(counts[catalogue_of(events.pair.target)])[::-1]
    total = np.cumsum(counts) / max(int(counts.sum()), 1)
    steps = np.linspace(0, len(total) - 1, CURVE_POINTS).astype(np.int64)
    return [float(share) for share in total[steps]] if len(total) else []


def examples(events: SyntheticEvents) -> list[dict[str, Any]]:
    """Return events whose source item says most about the target item, each of other items and another user.

    They are ranked by the lower bound of their confidence over the item's share of all real interactions: how many
    times likelier the item is than on average, at least.
    """
    target, n_items = events.pair.target.positives(), len(events.pair.target.items)
    pairs = np.unique(target.user.astype(np.int64) * n_items + target.item)
    share = np.bincount(pairs % n_items, minlength=n_items) / max(len(pairs), 1)
    bound = confidence_lower_bound(events.confidence, events.support) / np.maximum(share[events.item], 1e-12)
    bound[events.support < EXAMPLE_SUPPORT] = 0.0
    source_item = events.pair.source.item[events.source_row]
    order = np.lexsort((np.arange(len(events)), -bound))
    taken: list[int] = []
    seen: tuple[set[int], set[int], set[int]] = (set(), set(), set())
    for place in order[: 200 * N_EXAMPLES]:
        ids = int(source_item[place]), int(events.item[place]), int(events.user[place])
        if bound[place] > 0 and not any(one in known for one, known in zip(ids, seen, strict=True)):
            taken.append(int(place))
            for one, known in zip(ids, seen, strict=True):
                known.add(one)
        if len(taken) == N_EXAMPLES:
            break
    return _described(events, np.array(taken, np.int64), source_item, share)


def _described(
    events: SyntheticEvents,
    places: npt.NDArray[np.int64],
    source_item: npt.NDArray[np.int32],
    share: npt.NDArray[np.float64],
) -> list[dict[str, Any]]:
    pair = events.pair
    source, target = source_item[places], events.item[places]
    name = None if pair.items is None else pair.items.title_column()
    titles: list[Sequence[Any]] = [[None] * len(places)] * 2
    if pair.items is not None and name is not None:
        titles = [_text(pair.items.source, name, source), _text(pair.items.target, name, target)]
    return [
        {
            "user": None,
            "source_item": str(pair.source.items.ids[int(source[x])]),
            "source_title": titles[0][x],
            "source_domain": pair.source.items.domains[pair.source.items.domain[source[x]]],
            "target_item": str(pair.target.items.ids[int(target[x])]),
            "target_title": titles[1][x],
            "confidence": float(events.confidence[place]),
            "support": int(events.support[place]),
            "lift": float(events.confidence[place] / share[target[x]]),
        }
        for x, place in enumerate(places)
    ]


def _text(table: pa.Table, name: str, rows: npt.NDArray[np.int32]) -> Sequence[str | None]:
    if name not in table.column_names:
        return [None] * len(rows)
    return [None if value is None else str(value) for value in table.column(name).take(pa.array(rows)).to_pylist()]
