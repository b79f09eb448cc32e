"""The gate of a study in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scalr.foundation import Json
from scalr.studies.findings.wording import listed, number, percent, segment_name

PERIODS = {"near": "the validation period", "far": "an earlier period as long as the test period"}


@dataclass(frozen=True, slots=True)
class Gate:
    """The gate of a study.

    Attributes:
        open: Segments that get augmentation.
        closed: Segments that do not.
        reasons: By closed segment, why, in words.
    """

    open: tuple[str, ...]
    closed: tuple[str, ...]
    reasons: Mapping[str, str]

    @property
    def sentence(self) -> str:
        """State who gets augmentation, and why others do not."""
        if not self.closed:
            return (
                "The gate is open for all users: those who did not choose the settings gain on periods before the test."
            )
        why = "; ".join(f"{segment_name(segment).lower()}: {self.reasons[segment]}" for segment in self.closed)
        if not self.open:
            return f"The gate is closed for all users, so SCALR is the model of real events alone ({why})."
        names = [[segment_name(one).lower() for one in group] for group in (self.open, self.closed)]
        return (
            f"The gate is open for {listed(names[0])} and closed for {listed(names[1])}, who are served by the model "
            f"of real events alone ({why})."
        )


def gate_of(study: Json | None) -> Gate | None:
    """Return the gate of a study; None without a gate."""
    openings = ((study or {}).get("choice") or {}).get("gate") or ()
    if not openings:
        return None
    is_open = [opening["segment"] for opening in openings if opening.get("open")]
    reasons = {opening["segment"]: _reason(opening) for opening in openings if not opening.get("open")}
    return Gate(tuple(is_open), tuple(reasons), reasons)


def _reason(opening: Json) -> str:
    change, level = number(opening.get("change")), number(opening.get("level")) or 0.05
    if change is None:
        return "too few users to decide"
    where = PERIODS.get(opening.get("rehearsal") or "near", "")
    if change >= 0:
        return f"prediction error rises by {percent(change)} on {where}"
    p_real, p_shuffled = number(opening.get("p_real_only")), number(opening.get("p_shuffled_users"))
    if p_real is not None and p_real < level and p_shuffled is not None:
        return f"other users' synthetic events help as much (p = {p_shuffled:.2f})"
    return f"a gain of {percent(-change)} on {where} may be chance (p = {p_real or 0.0:.2f})"
