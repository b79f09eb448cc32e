"""What a study says, in plain words: did the synthetic events help, whom, and is it transfer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from scalr.studies.findings.comparisons import (
    ARM,
    BASELINE,
    METRIC,
    Change,
    Outcome,
    calibration_of,
    calibration_shift,
    find,
    judge,
    read_changes,
    seeds_of,
)
from scalr.studies.findings.gating import Gate, gate_of
from scalr.studies.findings.methods import method_findings, method_steps, method_warnings, popularity_warnings
from scalr.studies.findings.wording import CONTROLS, arm_name, in_order, listed, metric_name, percent, segment_name

Tone = Literal["helped", "caution", "no_gain", "unclear", "harmed", "none"]

CALIBRATION_LIMIT = 0.05
"""A calibration ratio that moves by more than 5 % is reported."""

ENOUGH_SEEDS = 5
"""Fewer seeds than this are reported as few."""

OUTCOME_WORDS: dict[Outcome, str] = {
    "helped": "helped",
    "no_gain": "did not help",
    "not_clear": "not clear",
    "harmed": "harmed",
}


@dataclass(frozen=True, slots=True)
class Rival:
    """How SCALR stands against another arm, on normalized entropy of all users.

    Attributes:
        arm: The other arm.
        outcome: "beaten" if SCALR is better by its interval, "ahead" if the other arm is, else "level".
        change: The other arm against real events only; None where the study has none.
        direct: SCALR against the other arm; None where the study did not compare them directly.
    """

    arm: str
    outcome: Literal["beaten", "level", "ahead"]
    change: Change | None
    direct: Change | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a study for a reader who does not know the method.

    Attributes:
        headline: One line.
        tone: "helped", "caution" (a gain that is not shown to be transfer), "no_gain", "unclear", "harmed" or
            "none" (not measured).
        findings: What was measured, the main number first; segments are told apart in `segments`.
        warnings: What weakens or qualifies it.
        next_steps: What to do.
        segments: (segment, outcome, change) for each segment that was measured.
        rivals: SCALR against the controls and top-1, as far as the study has them.
    """

    headline: str
    tone: Tone
    findings: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    next_steps: tuple[str, ...] = ()
    segments: tuple[tuple[str, Outcome, Change], ...] = ()
    rivals: tuple[Rival, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """All of it in reading order: the main finding, segments, other findings, warnings, next steps."""
        return self.findings[:1] + self.segment_sentences + self.findings[1:] + self.warnings + self.next_steps

    @property
    def segment_sentences(self) -> tuple[str, ...]:
        """One sentence for each segment but "all"."""
        return tuple(
            f"{segment_name(segment)}: {OUTCOME_WORDS[outcome]}, {change.text}."
            for segment, outcome, change in self.segments
            if segment != "all"
        )


def verdict(study: Mapping[str, Any] | None) -> Verdict:
    """Say in plain words whether synthetic events helped, and what to do next.

    Args:
        study: The content of `study.json` or `evaluation.json`; None where nothing was measured. Missing arms,
            segments and numbers are told, never guessed.
    """
    if not study:
        return Verdict(
            "Synthetic events were made; what they are worth has not been measured yet",
            "none",
            next_steps=(
                "Run `scalr study` on the same files before using them: it trains with and without them and compares.",
            ),
        )
    made = (study.get("synthetic_events") or {}).get(ARM)
    if made and not any(made):
        return Verdict(
            "No synthetic event was made, so there is nothing to judge",
            "none",
            findings=("Every draw was dropped, or no source item has other users with target events.",),
            next_steps=("Lower `--min-support`, widen the window, or use logs that share more users.",),
        )
    changes = read_changes(study)
    main = find(changes, ARM)
    if main is None:
        return Verdict(
            "The study does not say whether synthetic events help",
            "none",
            findings=("It has no comparison of SCALR with real events only on normalized entropy for all users.",),
            next_steps=("Run `scalr study` again with the arms real_only and scalr.",),
        )
    gate = gate_of(study)
    if gate is not None and not gate.open:
        return Verdict(
            "Synthetic events are not used: validation does not show that they help",
            "no_gain",
            findings=(gate.sentence,),
            next_steps=(
                "Keep training on real events alone; nothing is lost. Try again with more shared users, another source "
                "domain, or more target events to choose on.",
            ),
        )
    outcome = judge(main)
    segments = tuple(
        (change.segment, judge(change), change)
        for change in changes
        if (change.arm, change.baseline, change.metric) == (ARM, BASELINE, METRIC)
    )
    rivals = tuple(rival for arm in (*CONTROLS, "top1") if (rival := _rival(changes, main, arm)) is not None)
    tone, headline = _headline(main, outcome, rivals)
    return Verdict(
        headline,
        tone,
        findings=(
            _main_finding(main, study),
            *([] if gate is None else [gate.sentence]),
            *_rival_findings(main, outcome, rivals),
            *method_findings(changes),
            *_ranking(changes, "helped"),
        ),
        warnings=(
            *_evidence_warnings(main, study, rivals),
            *method_warnings(changes),
            *popularity_warnings(study),
            *_segment_warnings(outcome, segments),
            *_ranking(changes, "harmed"),
            *_calibration(changes, study),
        ),
        next_steps=(*_gate_steps(gate), *_next_steps(tone, segments, rivals, changes, study)),
        segments=segments,
        rivals=rivals,
    )


def _rival(changes: Sequence[Change], main: Change, arm: str) -> Rival | None:
    change, direct = find(changes, arm), find(changes, ARM, baseline=arm)
    if change is None and direct is None:
        return None
    if direct is not None and direct.interval is not None:
        low, high = direct.interval
        return Rival(arm, "beaten" if high < 0 else "ahead" if low > 0 else "level", change, direct)
    if change is None or change.interval is None or main.interval is None:
        return Rival(arm, "level", change, direct)
    apart_below, apart_above = main.interval[1] < change.interval[0], main.interval[0] > change.interval[1]
    return Rival(arm, "beaten" if apart_below else "ahead" if apart_above else "level", change, direct)


def _unbeaten(rivals: Sequence[Rival]) -> list[Rival]:
    return [rival for rival in rivals if rival.arm in CONTROLS and rival.outcome != "beaten"]


def _shuffled_gains_as_much(main: Change, rivals: Sequence[Rival]) -> bool:
    """Tell whether shuffled users keep at least half of the gain and are not beaten."""
    return any(
        rival.arm == "shuffled_users"
        and (rival.outcome == "ahead" or (rival.change is not None and rival.change.change <= main.change / 2))
        for rival in _unbeaten(rivals)
    )


def _headline(main: Change, outcome: Outcome, rivals: Sequence[Rival]) -> tuple[Tone, str]:
    size = percent(abs(main.change))
    if outcome == "harmed":
        return "harmed", f"Synthetic events did harm: prediction error rose by {size}"
    if outcome == "no_gain":
        return "no_gain", "Synthetic events did not help"
    if outcome == "not_clear":
        return "unclear", "It is not clear whether synthetic events help"
    if not any(rival.arm in CONTROLS for rival in rivals):
        return "caution", f"Prediction error fell by {size}, but nothing shows why: the study has no controls"
    if _shuffled_gains_as_much(main, rivals):
        return (
            "caution",
            f"Prediction error fell by {size}, but just as much with the wrong users: this is not transfer",
        )
    if unbeaten := _unbeaten(rivals):
        whom = arm_name(unbeaten[0].arm).lower() if len(unbeaten) == 1 else f"{len(unbeaten)} controls"
        return "caution", f"Prediction error fell by {size}, but not clearly more than with {whom}"
    return "helped", f"Synthetic events helped: prediction error fell by {size}"


def _main_finding(main: Change, study: Mapping[str, Any]) -> str:
    seeds = seeds_of(study)
    ending = "" if seeds is None else f", {seeds} seed" if seeds == 1 else f", {seeds} seeds"
    return f"Normalized entropy (prediction error, lower is better) against real events only: {main.text}{ending}."


def _rival_findings(main: Change, outcome: Outcome, rivals: Sequence[Rival]) -> list[str]:
    controls = [rival for rival in rivals if rival.arm in CONTROLS]
    found = []
    for kind, words in (
        ("beaten", "SCALR beats"),
        ("level", "SCALR cannot be told apart from"),
        ("ahead", "SCALR does worse than"),
    ):
        names = [arm_name(rival.arm).lower() for rival in controls if rival.outcome == kind]
        if names:
            every = "every control of this study: " if len(names) == len(controls) > 1 and kind == "beaten" else ""
            found.append(f"{words} {every}{listed(names)}.")
    found.extend(_shuffled_finding(main, outcome, rivals))
    for rival in rivals:
        if rival.arm == "top1":
            how = {"beaten": "is better than", "level": "cannot be told apart from", "ahead": "is worse than"}[
                rival.outcome
            ]
            against = (
                ""
                if rival.change is None
                else f": {percent(rival.change.change, signed=True)} against real events only"
            )
            found.append(f"Sampling {how} always taking the likeliest item (top-1{against}).")
    return found


def _shuffled_finding(main: Change, outcome: Outcome, rivals: Sequence[Rival]) -> list[str]:
    if outcome != "helped":
        return []
    if _shuffled_gains_as_much(main, rivals):
        return [
            "Given to the wrong users, the same synthetic events gain about as much. What gains is not transfer: "
            "it is more data of the right shape, not knowledge about a user."
        ]
    for rival in rivals:
        if rival.arm == "shuffled_users" and rival.change is not None and judge(rival.change) == "helped":
            return [
                f"Given to the wrong users, the same synthetic events still change it by "
                f"{percent(rival.change.change, signed=True)}: that part is not transfer."
            ]
    return []


def _ranking(changes: Sequence[Change], wanted: Outcome) -> list[str]:
    found = []
    for change in changes:
        if (change.arm, change.baseline, change.segment) != (ARM, BASELINE, "all") or not change.metric.startswith(
            ("ndcg", "recall")
        ):
            continue
        if judge(change) == wanted:
            word = "better" if wanted == "helped" else "worse"
            found.append(f"Ranked lists got {word}: {metric_name(change.metric)} {change.text}.")
    return found


def _evidence_warnings(main: Change, study: Mapping[str, Any], rivals: Sequence[Rival]) -> list[str]:
    found = []
    if main.interval is None:
        found.append("The study gives no interval for the main number, so nothing follows from it.")
    seeds = seeds_of(study)
    if seeds is not None and seeds < ENOUGH_SEEDS:
        found.append(
            f"Only {seeds} {'seed was' if seeds == 1 else 'seeds were'} run; "
            f"{ENOUGH_SEEDS} or more are needed to trust the interval."
        )
    present = {rival.arm for rival in rivals}
    missing = [arm_name(arm).lower() for arm in CONTROLS if arm not in present]
    if missing:
        found.append(f"Controls that this study lacks: {listed(missing)}. A gain counts when it beats them.")
    return found


def _segment_warnings(outcome: Outcome, segments: Sequence[tuple[str, Outcome, Change]]) -> list[str]:
    return [
        f"{segment_name(segment)} were harmed ({percent(change.change, signed=True)}) "
        "although the average over all users does not show it."
        for segment, own, change in segments
        if segment != "all" and own == "harmed" and outcome != "harmed"
    ]


def _calibration(changes: Sequence[Change], study: Mapping[str, Any]) -> list[str]:
    shift = calibration_shift(changes, study)
    if shift is None or abs(shift) <= CALIBRATION_LIMIT:
        return []
    ours, real = calibration_of(study, ARM), calibration_of(study, BASELINE)
    values = "" if ours is None or real is None else f" from {real:.2f} to {ours:.2f} (ideal: 1)"
    closer = ours is not None and real is not None and abs(ours - 1.0) < abs(real - 1.0)
    advice = (
        "closer to what happened, but a correction made for the old model no longer fits"
        if closer
        else "predictions must be recalibrated before they are used as probabilities"
    )
    return [f"Calibration moved by {percent(shift, signed=True)}{values}: {advice}."]


def _next_steps(
    tone: Tone,
    segments: Sequence[tuple[str, Outcome, Change]],
    rivals: Sequence[Rival],
    changes: Sequence[Change],
    study: Mapping[str, Any],
) -> tuple[str, ...]:
    steps = {
        "helped": ["Train your own model on real + weighted synthetic events, then confirm with an online experiment."],
        "caution": _caution_steps(rivals),
        "no_gain": [
            "Leave synthetic events out, or try fewer draws or a lower temperature (`--draws`, `--temperature`)."
        ],
        "unclear": ["Run more seeds or use a longer test period; until then, leave synthetic events out."],
        "harmed": [
            "Do not train on these synthetic events. Try a lower weight (`--synthetic-weight`), fewer draws, or the "
            "auxiliary objective."
        ],
        "none": [],
    }[tone]
    harmed = [
        segment_name(segment).lower() for segment, outcome, _ in segments if segment != "all" and outcome == "harmed"
    ]
    helped = [
        segment_name(segment).lower() for segment, outcome, _ in segments if segment != "all" and outcome == "helped"
    ]
    if harmed and tone != "harmed":
        steps.append(f"Use per-user shrinkage, or switch synthetic events off for {listed(harmed)}.")
    if helped and tone in {"no_gain", "unclear", "harmed"}:
        steps.append(f"Consider synthetic events for {listed(in_order(helped, ()))} only.")
    steps.extend(method_steps(changes))
    if any(rival.arm == "top1" and rival.outcome == "ahead" for rival in rivals):
        steps.append("Try sharper draws: a temperature below 1, or `--strategy topk`.")
    if tone in {"helped", "caution"} and _calibration(changes, study):
        steps.append("Recalibrate predictions on recent real events before using them as probabilities.")
    return tuple(steps)


def _gate_steps(gate: Gate | None) -> list[str]:
    if gate is None or not gate.closed:
        return []
    closed = listed([segment_name(segment).lower() for segment in gate.closed])
    return [f"Serve {closed} with the model trained on real events alone, the others with the augmented one."]


def _caution_steps(rivals: Sequence[Rival]) -> list[str]:
    unbeaten = _unbeaten(rivals)
    if not any(rival.arm in CONTROLS for rival in rivals):
        return ["Run the study with all controls before crediting the other domain with this gain."]
    if any(rival.outcome == "ahead" for rival in unbeaten):
        return ["A control gains more: do as it does, or train longer, before using synthetic events."]
    if any(rival.change is not None and judge(rival.change) == "helped" for rival in unbeaten):
        return ["Do not credit the other domain with this gain: controls gain too. Compare with longer training first."]
    return ["Run more seeds or use a longer test period, until the controls can be told apart."]
