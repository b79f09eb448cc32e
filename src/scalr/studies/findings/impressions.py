"""What a study of impressions found, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scalr.foundation import Json
from scalr.studies.findings.gating import gate_of
from scalr.studies.findings.wording import count, percent, segment_name

FEW = 100  # conversions in the test period, below which intervals over users are wider than most effects


@dataclass(frozen=True, slots=True)
class Finding:
    """What a study of conversions found, in words.

    Attributes:
        tone: "helped", "harmed" or "unclear"; "no_gain" where the gate is closed; "none" without an arm `scalr`.
        headline: One sentence.
        sentences: Further ones.
    """

    tone: str
    headline: str
    sentences: tuple[str, ...]


def finding(study: Json) -> Finding:
    """Put a study of conversions into words.

    A gain counts when the intervals over seeds and over users both leave out zero, and so does the one over users of
    the difference from shuffled users, where that arm was there.

    Args:
        study: Content of `study.json`.
    """
    size = study["protocol"]["test"]["all"]
    judged = f"{count(size['impressions'])} real impressions with {count(size['conversions'])} conversions"
    change = comparison_of(study, "scalr", "real_only")
    if change is None:
        return Finding("none", f"Nothing was compared; real events only were judged on {judged}.", _notes(study))
    moved = f"normalized entropy {percent(change['relative_change'], signed=True, digits=2)}"
    shuffled = comparison_of(study, "scalr", "shuffled_users")
    gate = gate_of(study)
    if gate is not None and not gate.open:
        headline = "Synthetic events are not used: validation does not show that they help conversions."
        return Finding("no_gain", headline, (gate.sentence, *_without_gate(study), *_notes(study)))
    lower, higher = (_beyond_zero(change, side) for side in (-1, 1))
    sentences: list[str] = []
    if lower and (shuffled is None or _beyond_zero(shuffled, -1, users_only=True)):
        tone, headline = "helped", f"Synthetic events foretell conversions better: {moved}."
    elif lower:
        tone, headline = "unclear", f"Something helped ({moved}), but shuffled users may help as much."
    elif higher:
        tone, headline = "harmed", f"Synthetic events foretell conversions worse: {moved}."
    else:
        tone, headline = "unclear", f"These {count(size['conversions'])} conversions cannot tell: {moved}."
    sentences.append(f"Judged on {judged}: {_in_words(change)}; lower is better.")
    if shuffled is not None:
        sentences.append(f"Against the same events given to other users: {_in_words(shuffled)}.")
    for segment in ("warm", "cold"):
        own = comparison_of(study, "scalr", "real_only", segment)
        if own is not None:
            sentences.append(f"{segment_name(segment)}: {_in_words(own)}.")
    if gate is not None:
        sentences += [gate.sentence, *_without_gate(study)]
    return Finding(tone, headline, (*sentences, *_gate(study), *_notes(study)))


def _without_gate(study: Json) -> tuple[str, ...]:
    change = comparison_of({"comparisons": study.get("without_gate") or ()}, "scalr", "real_only")
    return () if change is None else (f"Without the gate, on the test period: {_in_words(change)}.",)


def _gate(study: Json) -> tuple[str, ...]:
    losses = study["choice"]["validation_log_loss"]
    change = losses["scalr"] / losses["real_only"] - 1
    verb = "would have chosen" if change < 0 else "would not have chosen"
    return (f"The validation period {verb} synthetic events: log loss {percent(change, signed=True, digits=2)} there.",)


def _notes(study: Json) -> tuple[str, ...]:
    n = study["protocol"]["test"]["all"]["conversions"]
    if n >= FEW:
        return ()
    return (f"With {count(n)} conversions to judge by, differences of several percent can be chance.",)


def comparison_of(study: Json, arm: str, baseline: str, segment: str = "all") -> Json | None:
    """Return the comparison of two arms by normalized entropy in a segment; None if the study has none."""
    for one in study["comparisons"]:
        if (one["arm"], one["baseline"], one["segment"], one["metric"]) == (
            arm, baseline, segment, "normalized_entropy",
        ):  # fmt: skip
            found: Json = one
            return found
    return None


def _beyond_zero(change: Json, side: int, *, users_only: bool = False) -> bool:
    """Say whether intervals lie below (side -1) or above (1) zero; a missing one over seeds does not object."""
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
    """Return an interval in percent, without the sign of percent."""
    return "[" + ", ".join(percent(end, signed=True, digits=2).removesuffix(" %") for end in interval) + "]"
