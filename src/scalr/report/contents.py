"""Gather what a report shows from the values of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scalr.output import environment
from scalr.receipt import Receipt
from scalr.refine import confidence_lower_bound
from scalr.report.page import ReportData, write_page
from scalr.study import Study
from scalr.summary import summarise
from scalr.synthetic import SyntheticEvents, catalogue_of

N_EXAMPLES = 12
EXAMPLE_SUPPORT = 5  # least users behind an example, so that a page shows no single person's pair
CURVE_POINTS = 50


def write_report(path: str | Path, shown: ReportData | Study | SyntheticEvents) -> None:
    """Write one HTML page that needs no network and no scripts, replacing a file of that name.

    Args:
        path: The page to write, in an existing folder.
        shown: A study, synthetic events alone, or contents that were put together by `contents_of`.

    Raises:
        OutputError: If the folder of `path` does not exist.
    """
    write_page(path, shown if isinstance(shown, ReportData) else contents_of(shown))


def contents_of(
    shown: Study | SyntheticEvents,
    *,
    whole: SyntheticEvents | None = None,
    receipts: Sequence[Receipt] = (),
    settings: Mapping[str, Any] | None = None,
    title: str | None = None,
    notes: Sequence[str] = (),
) -> ReportData:
    """Return what a report of a study, or of synthetic events alone, shows.

    Args:
        shown: The study or the events.
        whole: Synthetic events of the whole logs, where a run made them beside its study; else the study's first seed
            stands for them.
        receipts: Stages to show; those of the synthetic events if there are none.
        settings: Settings to show.
        title: What the run is about.
        notes: Sentences to read before any number.
    """
    if isinstance(shown, Study):
        pair, events = shown.pair, whole or shown.synthetic["scalr"]
        covered = {{"scalr": "sample"}.get(name, name): one for name, one in shown.synthetic.items()}
        settings = settings or shown.steps.model_dump(mode="json")
    else:
        pair, events, covered = shown.pair, shown, {"sample": shown}
    stages = {receipt.stage: receipt.to_json() for receipt in receipts or events.receipts}
    return ReportData(
        title=title or f"{' and '.join(pair.source.items.domains)} → {pair.target.name}",
        subtitle=f"Seed {events.seed}",
        notes=notes,
        warnings=pair.warnings,
        pair=summarise(pair).to_json(),
        stages={name: {k: v for k, v in stage.items() if k != "marginals"} for name, stage in stages.items()},
        coverage={name: one.item_coverage() for name, one in covered.items()},
        curves={name: cumulative_shares(one) for name, one in covered.items()},
        alignment=stages.get("align", {}).get("marginals", ()),
        study=shown.to_json() if isinstance(shown, Study) else None,
        examples=examples(events),
        settings=settings or {},
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
    target = events.pair.target.positives()
    item = target.item[target.starts_interaction()]
    share = np.bincount(item, minlength=len(target.items)) / max(len(item), 1)
    bound = confidence_lower_bound(events.confidence, events.support) / np.maximum(share[events.item], 1e-12)
    bound[events.support < EXAMPLE_SUPPORT] = 0.0
    source_item = events.pair.source.item[events.source_row]
    tried = min(200 * N_EXAMPLES, len(events))
    least = np.partition(bound, len(bound) - tried)[len(bound) - tried] if tried else 0.0
    best = np.flatnonzero(bound >= least)
    order = best[np.lexsort((best, -bound[best]))]
    taken: list[int] = []
    seen: tuple[set[int], set[int], set[int]] = (set(), set(), set())
    for place in order[:tried]:
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
