"""Collect the contents of a report from the values of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scalr.foundation import PrivacySettings, Receipt, describe_environment
from scalr.logs import EventLog, Pair, StoredPair, catalogue_of, summarise
from scalr.report.page import ReportData, write_page
from scalr.studies import Study
from scalr.synthesis import EventFacts, SyntheticEvents, facts_of, item_shares, resting_on_few

N_EXAMPLES = 12
CURVE_POINTS = 50


def write_report(path: str | Path, shown: ReportData | Study | SyntheticEvents) -> None:
    """Write one HTML page that needs no network and no scripts, replacing a file of that name.

    Args:
        path: The page to write, in an existing folder.
        shown: A study, synthetic events alone, or the contents from `contents_of`.

    Raises:
        OutputError: If the folder of `path` does not exist.
    """
    write_page(path, shown if isinstance(shown, ReportData) else contents_of(shown))


def contents_of(
    shown: Study | SyntheticEvents | EventFacts,
    *,
    pair: Pair | StoredPair | None = None,
    whole: EventFacts | None = None,
    receipts: Sequence[Receipt] = (),
    settings: Mapping[str, Any] | None = None,
    title: str | None = None,
    notes: Sequence[str] = (),
    leaks: Mapping[str, Any] | None = None,
) -> ReportData:
    """Return the contents of a report of a study, or of synthetic events alone.

    Args:
        shown: The study, the events, or facts of events.
        pair: The logs, where `shown` is facts of events.
        whole: Facts of the synthetic events of the whole logs, if a run has generated them beside its study; otherwise
            the report uses those of the first seed of the study.
        receipts: Stages to show; if empty, those of the synthetic events.
        settings: Settings to show.
        title: Title; None names the domains.
        notes: Sentences to read before any number.
        leaks: Columns that identify synthetic rows; see `ReportData`.
    """
    if isinstance(shown, Study):
        pair = shown.pair
        covered = {{"scalr": "sample"}.get(name, name): facts_of(one) for name, one in shown.synthetic.items()}
        facts, receipts = whole or covered["sample"], receipts or shown.synthetic["scalr"].receipts
        settings = settings or shown.steps.model_dump(mode="json")
    else:
        if isinstance(shown, SyntheticEvents):
            pair, receipts, shown = shown.pair, receipts or shown.receipts, facts_of(shown)
        facts, covered = shown, {"sample": shown}
    assert pair is not None, "facts of events need the logs"
    stages = {receipt.stage: receipt.to_json() for receipt in receipts}
    return ReportData(
        title=title or f"{' and '.join(pair.source.items.domains)} → {pair.target.name}",
        subtitle=f"Seed {facts.seed}",
        notes=notes,
        warnings=pair.warnings,
        pair=summarise(pair).to_json(),
        stages={name: {k: v for k, v in stage.items() if k != "marginals"} for name, stage in stages.items()},
        coverage={name: one.item_coverage(pair.target) for name, one in covered.items()},
        curves={name: cumulative_shares(one, pair.target) for name, one in covered.items()},
        alignment=stages.get("align", {}).get("marginals", ()),
        leaks=leaks or None,
        study=shown.to_json() if isinstance(shown, Study) else None,
        examples=examples(facts, pair),
        privacy=resting_on_few(facts, _privacy(settings)),
        settings=settings or {},
        environment=describe_environment(),
    )


def _privacy(settings: Mapping[str, Any] | None) -> PrivacySettings:
    return PrivacySettings(**(settings or {}).get("translate", {}).get("privacy", {}))


def cumulative_shares(facts: EventFacts, target: EventLog) -> list[float]:
    """Return the share of events that fall on the k most frequent items, at `CURVE_POINTS` even steps of k.

    The last step is the whole catalogue. A curve that rises late means that events spread over many items.
    """
    counts = np.sort(facts.item_counts[catalogue_of(target)])[::-1]
    total = np.cumsum(counts) / max(int(counts.sum()), 1)
    steps = np.linspace(0, len(total) - 1, CURVE_POINTS).astype(np.int64)
    return [float(share) for share in total[steps]] if len(total) else []


def examples(facts: EventFacts, pair: Pair | StoredPair) -> list[dict[str, Any]]:
    """Return the best events; no two share an item or a user. See `EventFacts.best`."""
    best, chosen = facts.best, []
    seen: tuple[set[int], set[int], set[int]] = (set(), set(), set())
    for place in range(len(best)):
        ids = int(best.source_item[place]), int(best.item[place]), int(best.user[place])
        if not any(one in known for one, known in zip(ids, seen, strict=True)):
            chosen.append(place)
            for one, known in zip(ids, seen, strict=True):
                known.add(one)
        if len(chosen) == N_EXAMPLES:
            break
    return _described(facts, np.array(chosen, np.int64), pair)


def _described(facts: EventFacts, places: npt.NDArray[np.int64], pair: Pair | StoredPair) -> list[dict[str, Any]]:
    best, share = facts.best, item_shares(pair.target)
    source, target = best.source_item[places], best.item[places]
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
            "confidence": float(best.confidence[place]),
            "support": int(best.support[place]),
            "lift": float(best.confidence[place] / share[target[x]]),
        }
        for x, place in enumerate(places)
    ]


def _text(table: pa.Table, name: str, rows: npt.NDArray[np.int32]) -> Sequence[str | None]:
    if name not in table.column_names:
        return [None] * len(rows)
    return [None if value is None else str(value) for value in table.column(name).take(pa.array(rows)).to_pylist()]
