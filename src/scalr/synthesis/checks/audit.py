"""Audit synthetic rows against their logs: named checks, each recomputed from the raw logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from scalr.foundation import InputError, Int64, Mask, Steps, pairs_in_log
from scalr.logs import EventLog, StoredPair, from_microseconds
from scalr.synthesis.aligning import buckets_of
from scalr.synthesis.checks.reading_back import Released
from scalr.synthesis.identity import generation_name
from scalr.synthesis.parts import DRAWN_ROWS
from scalr.synthesis.tables import to_type
from scalr.synthesis.translators import Translation, fit
from scalr.synthesis.translators.conditioned import ConditionedTranslation
from scalr.synthesis.translators.cooccurrence import CooccurrenceTranslation

CHECKS = {
    "not-marked": "is_synthetic is true in every row",
    "unknown-source-event": "every row names a positive event of the source logs",
    "other-source-event": "user, source item, domain, time and weight are those of that event",
    "unknown-item": "every item is one of the target log",
    "real-pair": "no (user, item) of a row stands in the target log",
    "drawn-twice": "no draw of a source event stands twice",
    "support-differs": "support, counted anew in the logs, is equal",
    "confidence-differs": "confidence, counted anew in the logs, is equal",
    "below-k": "at least k other users are behind every row",
    "not-drawn": "the seed, drawing anew, draws the same item, confidence and support",
    "other-generation": "generation_id is that of these logs, settings and seed",
    "marginal-far": "marginals are as near to the real ones as stated",
}
"""What holds if a check finds nothing wrong."""

CONFIDENCE_TOLERANCE = 2e-6  # relative; files hold confidence in single precision
DISTANCE_TOLERANCE = 1e-6  # of a total variation; files hold weights in single precision


@dataclass(frozen=True, slots=True)
class Check:
    """One check of an audit.

    Attributes:
        name: One of `CHECKS`.
        examined: Number of examined rows (for `marginal-far`, marginals); 0 if the check was not possible.
        wrong: Number of them that fail.
        detail: The first failure, or the reason why nothing was examined.
    """

    name: str
    examined: int
    wrong: int
    detail: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the check as a JSON object."""
        numbers = {"examined": self.examined, "wrong": self.wrong}
        return {"name": self.name, "expected": CHECKS[self.name], **numbers, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Audit:
    """All checks of some rows, in the order of `CHECKS`."""

    rows: int
    checks: tuple[Check, ...]

    @property
    def findings(self) -> tuple[Check, ...]:
        """Return the checks with failures."""
        return tuple(check for check in self.checks if check.wrong)

    def to_json(self) -> dict[str, Any]:
        """Return the audit as a JSON object."""
        return {"rows": self.rows, "checks": [check.to_json() for check in self.checks]}

    def refuse_findings(self, name: str) -> None:
        """Raise an error if any check has failures.

        Raises:
            InputError: If there are findings.
        """
        if self.findings:
            findings = (
                f"{check.name} ({check.wrong:,} of {check.examined:,}: {check.detail})" for check in self.findings
            )
            raise InputError(
                f"the audit of '{name}' found {'; '.join(findings)}",
                expected=CHECKS[self.findings[0].name],
                fix="generate the rows again from these logs, or name the logs and settings of their generation",
            )


def audit(
    rows: Released,
    pair: StoredPair,
    steps: Steps,
    *,
    is_seed_known: bool = False,
    stated: Sequence[Mapping[str, Any]] | None = None,
    most_distance: float | None = None,
) -> Audit:
    """Check rows against the logs.

    Args:
        rows: The rows.
        pair: The logs.
        steps: Stated settings of the generation: `seed`, `translate`, `sample` and `refine` are used.
        is_seed_known: Whether `seed` and `sample` are those of the rows, so that the draws can be repeated.
        stated: Stated distances of the marginals (as in the receipt of alignment), which must be reproduced.
        most_distance: Instead of `stated`, the largest total variation of each `refine.align` marginal, in [0, 1].
    """
    auditor = _Auditor(rows, pair, steps)
    checks = [*auditor.marks(), *auditor.source_events(), *auditor.pairs(), *auditor.counts()]
    if is_seed_known:
        checks += [auditor.drawn_anew(), auditor.generation()]
    checks += auditor.marginals(stated, most_distance)
    return Audit(len(rows), tuple(checks))


@dataclass(frozen=True, eq=False)
class _Auditor:
    """Checks of rows against the logs."""

    rows: Released
    pair: StoredPair
    steps: Steps

    def check(self, name: str, wrong: Mask, among: Mask | None = None) -> Check:
        """Return the check with failures `wrong`, shape (n,), among the rows that can be examined."""
        examined = len(wrong) if among is None else int(among.sum())
        places = np.flatnonzero(wrong if among is None else wrong & among)
        detail = f"such as row {int(places[0]):,}" if len(places) else ""
        return Check(name, examined, len(places), detail)

    def marks(self) -> Iterator[Check]:
        if self.rows.is_marked is not None:
            yield self.check("not-marked", ~self.rows.is_marked)

    @cached_property
    def parts(self) -> list[EventLog]:
        """Positive source events in parts."""
        return [part.positives() for part in self.pair.source.parts()]

    @cached_property
    def event(self) -> Int64:
        """Place of each row's source event among all positive events; -1 if unknown."""
        keys = [(part.keys() >> np.uint64(1)).view(np.int64) for part in self.parts]
        known = np.concatenate(keys) if keys else np.empty(0, np.int64)
        order = np.argsort(known)
        at = np.minimum(np.searchsorted(known[order], self.rows.source_event), max(len(known) - 1, 0))
        if not len(known):
            return np.full(len(self.rows), -1, np.int64)
        place = order[at]
        return np.where(known[place] == self.rows.source_event, place, -1)

    @cached_property
    def first_of_part(self) -> Int64:
        return np.cumsum([0, *(len(part) for part in self.parts)])

    @cached_property
    def is_sound(self) -> Mask:
        """Whether the event, user and item of a row are known, as further checks require."""
        rows = self.rows
        return (self.event >= 0) & (rows.user >= 0) & (rows.item >= 0)

    def source_events(self) -> Iterator[Check]:
        rows, known = self.rows, self.event >= 0
        yield self.check("unknown-source-event", ~known)
        place = self.event[known]

        def facts(name: str) -> Any:
            return np.concatenate([getattr(part, name) for part in self.parts])[place]

        differs = np.zeros(len(rows), np.bool_)
        if len(place):
            other = (facts("user") != rows.user[known]) | (facts("item") != rows.source_item[known])
            if rows.time is not None and self.pair.target.time_unit is not None:
                wanted = from_microseconds(facts("time"), self.pair.target.time_unit)
                found = rows.time.combine_chunks().take(np.flatnonzero(known))
                try:
                    same = pc.equal(found, to_type(wanted, found.type)).fill_null(False)
                    other |= ~same.to_numpy(zero_copy_only=False)
                except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # a type that holds no such times
                    other[:] = True
            if self.steps.refine.duplicates != "merge":
                weight = 1.0 if self.parts[0].weight is None else facts("weight")
                other |= (rows.weight[known] != weight) & rows.is_positive[known]
            differs[known] = other
        yield self.check("other-source-event", differs, known)

    def pairs(self) -> Iterator[Check]:
        rows, target = self.rows, self.pair.target
        yield self.check("unknown-item", rows.item < 0)
        start = np.zeros(len(target.users) + 1, np.int64)
        np.cumsum(np.bincount(target.user, minlength=len(target.users)), out=start[1:])
        known = (rows.user >= 0) & (rows.item >= 0) & rows.is_positive
        real = np.zeros(len(rows), np.bool_)
        real[known] = pairs_in_log(rows.user[known], rows.item[known], start, target.item)
        yield self.check("real-pair", real, known)
        order = np.lexsort((rows.draw, rows.source_event, ~rows.is_positive))
        again = np.zeros(len(rows), np.bool_)
        same = (np.diff(rows.source_event[order]) == 0) & (np.diff(rows.draw[order]) == 0)
        again[order[1:]] = same & rows.is_positive[order[1:]] & rows.is_positive[order[:-1]]
        yield self.check("drawn-twice", again, rows.is_positive)

    @cached_property
    def translation(self) -> Translation:
        chosen = self.steps.translate
        privacy = chosen.privacy.model_copy(update={"epsilon": None})  # spend no privacy budget
        return fit(self.pair, settings=chosen.model_copy(update={"privacy": privacy}))

    def counts(self) -> Iterator[Check]:
        """Recount support and confidence from the paths of the logs, without any randomness."""
        rows, k = self.rows, self.steps.translate.privacy.k
        among = self.is_sound & rows.is_positive
        if self.steps.translate.privacy.epsilon is not None:
            reason = "counts have noise, and to count anew without it would tell what it hides"
            yield from (Check(one, 0, 0, reason) for one in ("support-differs", "confidence-differs"))
            yield self.check("below-k", rows.support < k, among)
            return
        paths = _paths_of(self.translation)
        name, backs_off = self.steps.translate.translator, self.steps.translate.backoff > 0
        if paths is None:
            reason = f"'{name}' counts no pairs"
            yield from (Check(one, 0, 0, reason) for one in ("support-differs", "confidence-differs"))
            yield self.check("below-k", rows.support < k, among)
            return
        behind, confidence = self._counted(paths, among)
        lists = getattr(self.translation, "lists", None)
        if lists is not None:
            users = np.zeros(len(rows), np.int64)
            users[among] = lists.item_users[rows.item[among]]
            yield self.check("support-differs", users != rows.support, among)
        elif backs_off and k == 1:
            yield Check("support-differs", 0, 0, "with back-off it is that of the level a draw comes from")
        else:
            yield self.check("support-differs", behind != rows.support, among)
        if name == "cooccurrence":
            differs = ~np.isclose(rows.confidence, confidence, rtol=CONFIDENCE_TOLERANCE, atol=0)
            yield self.check("confidence-differs", differs, among)
        else:
            yield Check("confidence-differs", 0, 0, f"that of '{name}' is not a count; see not-drawn")
        fewer = rows.support < k if k == 1 else np.minimum(rows.support, behind) < k
        yield self.check("below-k", fewer, among)

    def _counted(self, paths: CooccurrenceTranslation, among: Mask) -> tuple[Int64, npt.NDArray[np.float64]]:
        behind, confidence = np.zeros(len(self.rows), np.int64), np.zeros(len(self.rows))
        for part, chosen in self._by_part(among):
            joined = paths.join_source(self.parts[part])
            event = self.event[chosen] - self.first_of_part[part]
            item = self.rows.item[chosen]
            users, n_paths = joined.counter()(event, item)
            behind[chosen] = users
            confidence[chosen] = paths.confidence(joined, event, item, users, n_paths)
        return behind, confidence

    def _by_part(self, among: Mask) -> Iterator[tuple[int, Int64]]:
        """Yield the number of each part of the source and its rows, in the order of the events."""
        chosen = np.flatnonzero(among)
        chosen = chosen[np.argsort(self.event[chosen], kind="stable")]
        ends = np.searchsorted(self.event[chosen], self.first_of_part)
        for part in range(len(self.parts)):
            if ends[part] < ends[part + 1]:
                yield part, chosen[ends[part] : ends[part + 1]]

    def drawn_anew(self) -> Check:
        """Repeat the draws for the events of the rows."""
        rows, sample = self.rows, self.steps.sample
        k, among = sample.draws_per_event, self.is_sound & rows.is_positive
        wrong = np.zeros(len(rows), np.bool_)
        most = max(1, DRAWN_ROWS // k)
        for part, chosen in self._by_part(among):
            drawing = self.translation.drawing(self.parts[part], sample, seed=self.steps.seed, most=most)
            place = self.event[chosen] - self.first_of_part[part]
            for first in range(0, len(self.parts[part]), most):
                selected = chosen[np.searchsorted(place, first) : np.searchsorted(place, first + most)]
                if not len(selected):
                    continue
                drawn = drawing.draw(first, min(first + most, len(self.parts[part])))
                event = self.event[selected] - self.first_of_part[part] - first
                inside = (rows.draw[selected] >= 0) & (rows.draw[selected] < k)
                at = event * k + np.where(inside, rows.draw[selected], 0)
                same = (drawn.item[at] == rows.item[selected]) & (drawn.support[at] == rows.support[selected])
                same &= drawn.confidence[at] == rows.confidence[selected]
                wrong[selected] = ~(same & inside)
        return self.check("not-drawn", wrong, among)

    def generation(self) -> Check:
        if self.rows.generation is None:
            return Check("other-generation", 0, 0, "layout 'compact' has no generation_id")
        wanted = generation_name(self.pair, self.steps)
        others = [one for one in self.rows.generation if one != wanted]
        return Check(
            "other-generation", len(self.rows), len(others), f"it is {wanted}, not {others[0]}" if others else ""
        )

    def marginals(self, stated: Sequence[Mapping[str, Any]] | None, most_distance: float | None) -> Iterator[Check]:
        align = self.steps.refine.align
        if align is None or (stated is None and most_distance is None):
            yield Check("marginal-far", 0, 0, "no distance was stated")
            return
        buckets, among = buckets_of(self.pair, align), self.is_sound & self.rows.is_positive
        if not buckets.marginals:
            yield Check("marginal-far", 0, 0, f"the logs have no {', '.join(buckets.passed_over)} to align by")
            return
        time = None
        if self.pair.source.time is not None and among.any():
            time = np.concatenate([part.time for part in self.parts if part.time is not None])[self.event[among]]
        held = self.rows.weight[among]
        weight = np.where(np.abs(held) <= np.finfo(np.float32).max, held, 0.0).astype(np.float32)
        masses = buckets.masses(self.rows.item[among], time, weight)
        limits = {one["by"]: one["total_variation_after"] for one in stated or ()}
        far = []
        for one in buckets.distances(masses, masses):
            found = one["total_variation_after"]
            limit = most_distance if most_distance is not None else limits.get(one["by"])
            if found is not None and limit is not None and found > limit + DISTANCE_TOLERANCE:
                far.append(f"{one['by']} is {found:.4f} from the real one, stated {limit:.4f}")
        yield Check("marginal-far", len(buckets.marginals), len(far), far[0] if far else "")


def _paths_of(translation: Translation) -> CooccurrenceTranslation | None:
    """Return the paths that count the pairs of a translation; None if it uses no pairs."""
    if isinstance(translation, CooccurrenceTranslation):
        return translation
    if isinstance(translation, ConditionedTranslation):
        return translation.paths
    return getattr(translation, "cooccurrence", None)
