"""The conclusion of a study of impressions, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scalr.foundation import Json
from scalr.studies.findings.gating import gate_of
from scalr.studies.findings.splitting import split_warnings
from scalr.studies.findings.wording import SEGMENT_NAMES, count, percent, segment_name

FEW = 100  # with fewer conversions in the test period, intervals over users are wider than most effects


@dataclass(frozen=True, slots=True)
class ImpressionFinding:
    """The conclusion of a study of impressions.

    Attributes:
        tone: "helped", "harmed" or "unclear"; "no_gain" if the gate is closed; "none" without an arm `scalr`.
        headline: One sentence.
        sentences: Further sentences.
    """

    tone: str
    headline: str
    sentences: tuple[str, ...]


def impression_finding(study: Json) -> ImpressionFinding:
    """Put a study of impressions into words.

    A gain counts if the intervals over seeds and over users both exclude zero. If the study has shuffled users, the
    interval over users of the difference from them must exclude zero too.

    Args:
        study: Content of `study.json`.
    """
    size = study["protocol"]["test"]["all"]
    judged = f"{count(size['impressions'])} real impressions with {count(size['conversions'])} conversions"
    change, gate = comparison_of(study, "scalr", "real_only"), gate_of(study)
    if change is None:
        headline = f"Nothing was compared; real events only were judged on {judged}."
        return ImpressionFinding("none", headline, _notes(study))
    if gate is not None and not gate.open:
        headline = "Synthetic events are not used: validation does not show that they help conversions."
        return ImpressionFinding("no_gain", headline, (gate.sentence, *_without_gate(study), *_notes(study)))
    shuffled = comparison_of(study, "scalr", "shuffled_users")
    sentences = [f"Judged on {judged}: {_in_words(change)}; lower is better."]
    if shuffled is not None:
        sentences.append(f"Against the same events given to other users: {_in_words(shuffled)}.")
    for segment in tuple(SEGMENT_NAMES)[1:]:
        of_segment = comparison_of(study, "scalr", "real_only", segment)
        if of_segment is not None:
            sentences.append(f"{segment_name(segment)}: {_in_words(of_segment)}.")
    if gate is not None:
        sentences += [gate.sentence, *_without_gate(study)]
    tone, headline = _headline(change, shuffled, size["conversions"])
    return ImpressionFinding(tone, headline, (*sentences, *_validation(study), *_notes(study)))


def _headline(change: Json, shuffled: Json | None, n_conversions: int) -> tuple[str, str]:
    moved = f"normalized entropy {percent(change['relative_change'], signed=True, digits=2)}"
    is_lower, is_higher = (_beyond_zero(change, side) for side in (-1, 1))
    if is_lower and (shuffled is None or _beyond_zero(shuffled, -1, users_only=True)):
        return "helped", f"Synthetic events improve conversion prediction: {moved}."
    if is_lower:
        return "unclear", f"Prediction improved ({moved}), but shuffled users may help as much."
    if is_higher:
        return "harmed", f"Synthetic events worsen conversion prediction: {moved}."
    return "unclear", f"{count(n_conversions)} conversions are too few to decide: {moved}."


def _without_gate(study: Json) -> tuple[str, ...]:
    change = comparison_of({"comparisons": study.get("without_gate") or ()}, "scalr", "real_only")
    return () if change is None else (f"Without the gate, on the test period: {_in_words(change)}.",)


def _validation(study: Json) -> tuple[str, ...]:
    losses = study["choice"]["validation_log_loss"]
    change = losses["scalr"] / losses["real_only"] - 1
    verb = "would have chosen" if change < 0 else "would not have chosen"
    return (f"The validation period {verb} synthetic events: log loss {percent(change, signed=True, digits=2)} there.",)


def _notes(study: Json) -> tuple[str, ...]:
    n = study["protocol"]["test"]["all"]["conversions"]
    few = f"With {count(n)} conversions to judge by, differences of several percent can be chance."
    return (*split_warnings(study), *([few] if n < FEW else []))


def comparison_of(study: Json, arm: str, baseline: str, segment: str = "all") -> Json | None:
    """Return the comparison of two arms by normalized entropy in a segment; None if the study lacks it."""
    names = {"arm": arm, "baseline": baseline, "segment": segment, "metric": "normalized_entropy"}
    return next((row for row in study["comparisons"] if names.items() <= row.items()), None)


def _beyond_zero(change: Json, side: int, *, users_only: bool = False) -> bool:
    """Return whether intervals lie below (side -1) or above (1) zero; a missing interval over seeds does not count."""
    intervals = [change["interval_users"], None if users_only else change["interval"]]
    if intervals[0] is None:
        return False
    return all(one is None or (one[1] < 0 if side < 0 else one[0] > 0) for one in intervals)


def _in_words(change: Json) -> str:
    words = f"normalized entropy {percent(change['relative_change'], signed=True, digits=2)}"
    spans = [
        f"{span_text(change[name])} over {over}"
        for name, over in (("interval", "seeds"), ("interval_users", "users"))
        if change[name] is not None
    ]
    return words + (f" ({', '.join(spans)})" if spans else "")


def span_text(interval: Sequence[float]) -> str:
    """Return an interval in percent, without percent signs."""
    return "[" + ", ".join(percent(end, signed=True, digits=2).removesuffix(" %") for end in interval) + "]"
