"""Refine synthetic events in memory: walk the refining stages, with a receipt for each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from scalr.foundation import RefineSettings, Stopwatch
from scalr.synthesis.aligning import Align
from scalr.synthesis.events import SyntheticEvents
from scalr.synthesis.stages import DropReal, GroupRule, RealPairs, RefiningStage, RowRule, refining_stages


def refine(events: SyntheticEvents, settings: RefineSettings | None = None) -> SyntheticEvents:
    """Narrow drawn events down to those worth training on, in a fixed order.

    Refining drops pairs that are real, then uncertain ones, then duplicates, then the surplus of over-represented
    buckets, then what exceeds the caps; see `scalr.synthesis.stages.refining_stages`.

    Args:
        events: What sampling returned.
        settings: Thresholds and policies; defaults if None.

    Returns:
        The events that are left, with one more receipt per stage.
    """
    real = RealPairs.from_log(events.pair.target)
    for stage in refining_stages(settings or RefineSettings(), real, events.seed):
        events = apply_stage(events, stage)
    return events


def drop_real(events: SyntheticEvents) -> SyntheticEvents:
    """Drop events whose (user, item) is in the real target log, whatever its label."""
    return apply_stage(events, RefiningStage("drop_real", (DropReal(RealPairs.from_log(events.pair.target)),)))


def apply_stage(events: SyntheticEvents, stage: RefiningStage) -> SyntheticEvents:
    """Apply the rules of a stage one after another.

    Returns:
        The events that are left, with one more receipt.
    """
    left, details = events, dict(stage.details)
    with Stopwatch() as watch:
        for rule in stage.rules:
            left, facts = _apply_rule(left, rule)
            details |= facts
    return left.with_receipt(watch.receipt(stage.name, len(events), len(left), **details))


def _apply_rule(events: SyntheticEvents, rule: RowRule | GroupRule | Align) -> tuple[SyntheticEvents, dict[str, Any]]:
    """Return the events that a rule leaves, and facts for the receipt."""
    if isinstance(rule, Align):
        return _align(events, rule)
    if isinstance(rule, GroupRule):
        rows, weight = rule.pick(events)
        left = events.take(rows)
        return left if weight is None else replace(left, weight=weight), {}
    return events.take(rule.keep(events)), {}


def _align(events: SyntheticEvents, rule: Align) -> tuple[SyntheticEvents, dict[str, Any]]:
    buckets = rule.buckets(events.pair)
    left, distances = events, []
    if buckets.marginals:
        before = buckets.weigh(events)
        if len(events):
            left = events.take(rule.decide(buckets, before).keep(events))
        distances = buckets.distances(before, buckets.weigh(left))
    return left, {"marginals": distances, "passed_over": list(buckets.passed_over)}
