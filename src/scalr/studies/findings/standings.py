"""How SCALR compares with controls and top-1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scalr.studies.findings.comparisons import ARM, Change, find


@dataclass(frozen=True, slots=True)
class ArmStanding:
    """SCALR compared with another arm, on normalized entropy of all users.

    Attributes:
        arm: The other arm.
        outcome: "beaten" if SCALR is better by its interval, "ahead" if the other arm is, else "level".
        change: The other arm against real events only; None if the study lacks it.
        direct: SCALR against the other arm; None if the study did not compare them directly.
    """

    arm: str
    outcome: Literal["beaten", "level", "ahead"]
    change: Change | None
    direct: Change | None


def standing_of(changes: Sequence[Change], main: Change, arm: str) -> ArmStanding | None:
    """Compare SCALR with an arm; None if the study lacks the arm.

    The comparison is direct if the study has one with an interval, else by whether intervals overlap.

    Args:
        changes: Comparisons of the study.
        main: SCALR against real events only.
        arm: Name of the other arm.
    """
    change, direct = find(changes, arm), find(changes, ARM, baseline=arm)
    if change is None and direct is None:
        return None
    if direct is not None and direct.interval is not None:
        low, high = direct.interval
        return ArmStanding(arm, "beaten" if high < 0 else "ahead" if low > 0 else "level", change, direct)
    if change is None or change.interval is None or main.interval is None:
        return ArmStanding(arm, "level", change, direct)
    is_below, is_above = main.interval[1] < change.interval[0], main.interval[0] > change.interval[1]
    return ArmStanding(arm, "beaten" if is_below else "ahead" if is_above else "level", change, direct)
