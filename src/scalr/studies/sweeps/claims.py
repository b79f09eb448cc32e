"""Claims of the paper about settings that sweeps change, and whether a sweep reproduces them, by intervals alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Literal

from scalr.foundation import Json
from scalr.studies.findings.comparisons import METRIC, Change, classify, read_changes
from scalr.studies.findings.wording import SEGMENT_NAMES, listed, number, percent

Outcome = Literal["reproduced", "not reproduced", "undecided"]

ERROR_RATE = 0.05
"""Chance of calling the best of several points better by mistake; each p-value is multiplied by their number."""

RULE = (
    "A claim that one thing is better than another is reproduced where the interval of their difference lies below 0, "
    "not reproduced where it lies above 0 or rules out a gain of 0.1 %, and undecided else; of several parts the worst "
    "counts. A claim about the best of several points is reproduced where its p-value times their number is below "
    "0.05, and not reproduced where no point alone would be. Volume is reproduced where the most draws are better than "
    "the fewest, no step does harm, and the first half of the steps gains more than the second."
)
"""How findings follow from intervals, for readers of the page and of `sweeps.json`."""

CLAIMS = {
    "sampling": "Sampling target items lowers normalized entropy by about 0.25 % and reaches about 30 % of the "
    "catalogue; always taking the likeliest item (top-1) changes nothing and reaches 4 %.",
    "volume": "More synthetic events help monotonically, with diminishing returns.",
    "weight": "Synthetic events are a second loss of weight λ; no value is published. Tested here: some λ above 0 "
    "lowers normalized entropy.",
    "alignment": "Aligning the distribution of item values lowers normalized entropy by a further 0.13 %.",
    "support": "Events of low confidence are filtered; no threshold is published. Tested here: some threshold above "
    "1 user lowers normalized entropy.",
    "overlap": "Users who are active in both domains carry the knowledge over; no curve is published. Tested here: "
    "all overlap users together help more than a fifth of them.",
    "hide_overlap": "Not in the paper: how the gain depends on the share of overlap users whose target history is "
    "hidden. Tested here: synthetic events lower normalized entropy with no history hidden.",
    "objective": "The synthetic loss is an auxiliary objective; no comparison is published. Tested here: it lowers "
    "normalized entropy against one joint head.",
    "shrinkage": "Not in the paper. Tested here: weighing synthetic events down for users with real events of their "
    "own lowers the normalized entropy of warm users.",
}
"""By sweep; if the paper gives no figure, what is tested instead."""

_OUTCOMES: Mapping[bool | None, Outcome] = {True: "reproduced", False: "not reproduced", None: "undecided"}
_WORDS = {"reproduced": "Reproduced", "not reproduced": "Not reproduced", "undecided": "Undecided"}


def claim_finding(name: str, sweep: Json) -> tuple[Outcome, str]:
    """Return whether a sweep reproduces the claim, by `RULE`.

    Args:
        name: Name of the sweep.
        sweep: `points` and `contrasts` as in `sweeps.json`.

    Returns:
        The outcome and one sentence.
    """
    outcome, reason = _RULES[name](sweep)
    return outcome, f"{_WORDS[outcome]}: {reason}."


def is_monotone(steps: Sequence[Change], ends: Change | None) -> bool | None:
    """Return whether more volume helps throughout; None if the intervals do not decide.

    It does not if a step's interval lies above 0 and its p-value times the number of steps is below 0.05.

    Args:
        steps: Each volume against the one before.
        ends: The largest volume against the smallest.
    """
    if ends is None:
        return None
    if any(_harms(step, len(steps)) for step in steps) or classify(ends) in ("harmed", "no_gain"):
        return False
    return True if classify(ends) == "helped" else None


def _harms(step: Change, n_steps: int) -> bool:
    """Return whether one of several steps does harm: its p-value times their number is below the error rate."""
    return classify(step) == "harmed" and (step.p_value is None or step.p_value * n_steps < ERROR_RATE)


def contrast(sweep: Json, point: str, against: str, segment: str = "all") -> Change | None:
    """Return the change of normalized entropy of one point against another; None if the sweep lacks it."""
    rows = [row for row in sweep["contrasts"] if row["segment"] == segment]
    changes = read_changes({"comparisons": rows})
    return next((change for change in changes if (change.arm, change.baseline) == (point, against)), None)


def against_real(sweep: Json, label: str, segment: str = "all") -> Change | None:
    """Return the change of normalized entropy of a point against real events only; None if the sweep lacks it."""
    point = next(point for point in sweep["points"] if point["label"] == label)
    row = point["comparison"].get(segment, {}).get(METRIC)
    names = {"arm": label, "baseline": "real_only", "segment": segment, "metric": METRIC}
    return next(iter(read_changes({"comparisons": [] if row is None else [{**row, **names}]})), None)


def measured_segments(sweep: Json) -> list[str]:
    """Return the segments in which any point is compared with real events only; all users first."""
    found = {segment for point in sweep["points"] for segment, own in point["comparison"].items() if METRIC in own}
    return [segment for segment in SEGMENT_NAMES if segment in found]


def _joined(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the outcome of a claim with several parts: the worst of them."""
    if "not reproduced" in outcomes:
        return "not reproduced"
    return "undecided" if "undecided" in outcomes else "reproduced"


def _outcome(change: Change | None) -> Outcome:
    if change is None:
        return "undecided"
    outcomes: dict[str, Outcome] = {"helped": "reproduced", "harmed": "not reproduced", "no_gain": "not reproduced"}
    return outcomes.get(classify(change), "undecided")


def _text(change: Change | None) -> str:
    return "an unknown amount" if change is None else change.text


def _sampling(sweep: Json) -> tuple[Outcome, str]:
    sampled = next(point for point in sweep["points"] if point["setting"].get("sample.temperature") == 1.0)
    real, top = against_real(sweep, sampled["label"]), contrast(sweep, sampled["label"], "top-1")
    reach = {point["label"]: float(point["item_coverage"]) for point in sweep["points"]}
    ours, top1 = reach[sampled["label"]], reach["top-1"]
    wider: Outcome = "reproduced" if ours > top1 else "not reproduced"
    return _joined([_outcome(real), _outcome(top), wider]), (
        f"sampling changes normalized entropy by {_text(real)} against real events only and by {_text(top)} against "
        f"top-1; it reaches {percent(ours, digits=1)} of the items, top-1 {percent(top1, digits=1)}"
    )


def _volume(sweep: Json) -> tuple[Outcome, str]:
    fit = sweep["fit"]["per_event"]
    ends, gains = contrast(sweep, fit["labels"][-1], fit["labels"][0]), fit["gains"]
    outcome = _OUTCOMES[fit["monotone"]]
    diminishing = gains["first_half"] > gains["second_half"]
    if outcome == "reproduced" and not diminishing:
        outcome = "undecided"
    total = {True: "helps all along", False: "does not help all along", None: "may help or not"}[
        sweep["fit"]["total"]["monotone"]
    ]
    returns = "diminishing" if diminishing else "not diminishing"
    harm = [
        f"from {before} to {after}"
        for before, after in pairwise(fit["labels"])
        if (step := contrast(sweep, after, before)) is not None and _harms(step, len(fit["labels"]) - 1)
    ]
    return outcome, (
        f"{fit['volumes'][-1]} draws change normalized entropy by {_text(ends)} against {fit['volumes'][0]}, "
        f"with returns that are {returns}; at the same total weight, volume {total}"
        + (f"; more draws do harm {listed(harm)}" if harm else "")
    )


def _alignment(sweep: Json) -> tuple[Outcome, str]:
    on, off = sweep["points"][0]["label"], sweep["points"][-1]["label"]
    change, marginals = contrast(sweep, on, off), sweep["points"][0].get("alignment") or ()
    moved = [
        f"the share of events in the wrong bucket goes from {percent(before, digits=1)} to {percent(after, digits=1)}"
        for one in marginals
        if (before := number(one["total_variation_before"])) is not None
        and (after := number(one["total_variation_after"])) is not None
    ]
    text = f"alignment {on} changes normalized entropy by {_text(change)}" + "".join(f"; {words}" for words in moved)
    if "value" not in on:
        return "undecided", f"the target items have no values, so the claim itself is not tested; {text}"
    return _outcome(change), text


def _best(changes: Sequence[Change | None], what: str) -> tuple[Outcome, str]:
    """Return the outcome for the best of several points."""
    compared = [change for change in changes if change is not None]
    if not compared:
        return "undecided", "nothing could be compared"
    best = min(compared, key=lambda change: change.change)
    is_significant = best.p_value is not None and best.p_value * len(compared) < ERROR_RATE
    outcome: Outcome = "reproduced" if is_significant and best.change < 0 else "undecided"
    if all(_outcome(change) == "not reproduced" for change in compared):
        outcome = "not reproduced"
    return (
        outcome,
        f"the best of {len(compared)}, {best.arm}, changes {what} by {best.text} against {_name(best.baseline)}",
    )


def _name(baseline: str) -> str:
    return "real events only" if baseline == "real_only" else baseline


def _weight(sweep: Json) -> tuple[Outcome, str]:
    heavy = [point["label"] for point in sweep["points"] if point["setting"]["train.synthetic_weight"] > 0]
    return _best([against_real(sweep, label) for label in heavy], "normalized entropy")


def _some_contrast(segment: str, what: str) -> Callable[[Json], tuple[Outcome, str]]:
    def rule(sweep: Json) -> tuple[Outcome, str]:
        rows = [row for row in sweep["contrasts"] if row["segment"] == segment]
        return _best(read_changes({"comparisons": rows}), what)

    return rule


def _ends(sweep: Json) -> tuple[Outcome, str]:
    first, last = sweep["points"][0]["label"], sweep["points"][-1]["label"]
    change = contrast(sweep, first, last)
    gains = [
        f"{point['label']} {percent(gain.change, signed=True)}"
        for point in sweep["points"]
        if (gain := against_real(sweep, point["label"])) is not None
    ]
    return _outcome(change), (
        f"{first} changes normalized entropy by {_text(change)} against {last}"
        + (f"; against real events only: {listed(gains)}" if gains else "")
    )


def _hide_overlap(sweep: Json) -> tuple[Outcome, str]:
    first, *others = sweep["points"]
    change = against_real(sweep, first["label"])
    texts = [
        f"{point['label']} {percent(gain.change, signed=True)}"
        for point in others
        if (gain := against_real(sweep, point["label"])) is not None
    ]
    return _outcome(change), (
        f"with {first['label']}, synthetic events change normalized entropy by {_text(change)}"
        + (f"; with more users hidden: {listed(texts)}" if texts else "")
    )


def _objective(sweep: Json) -> tuple[Outcome, str]:
    change = contrast(sweep, "auxiliary", "joint")
    return _outcome(
        change
    ), f"the auxiliary objective changes normalized entropy by {_text(change)} against the joint one"


_RULES: Mapping[str, Callable[[Json], tuple[Outcome, str]]] = {
    "sampling": _sampling,
    "volume": _volume,
    "weight": _weight,
    "alignment": _alignment,
    "support": _some_contrast("all", "normalized entropy"),
    "overlap": _ends,
    "hide_overlap": _hide_overlap,
    "objective": _objective,
    "shrinkage": _some_contrast("warm", "the normalized entropy of warm users"),
}
