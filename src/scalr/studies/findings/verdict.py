"""The verdict on a study in plain words: whether synthetic events helped, whom, and whether it is transfer."""

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
    classify,
    find,
    read_changes,
    seeds_of,
)
from scalr.studies.findings.gating import Gate, gate_of
from scalr.studies.findings.methods import method_findings, method_steps, method_warnings, popularity_warnings
from scalr.studies.findings.splitting import split_warnings
from scalr.studies.findings.standings import ArmStanding, standing_of
from scalr.studies.findings.wording import (
    CONTROLS,
    NATURALLY_COLD,
    arm_name,
    listed,
    metric_name,
    percent,
    segment_name,
)

Tone = Literal["helped", "caution", "no_gain", "unclear", "harmed", "none"]

CALIBRATION_LIMIT = 0.05
"""A calibration ratio that moves by more than 5 % is reported."""

DECIDING = ("all", "warm", "cold")
"""Segments that warnings, next steps and comparisons with conventional methods refer to."""

ENOUGH_SEEDS = 5
"""Fewer seeds than this are reported as few."""

OUTCOME_WORDS: dict[Outcome, str] = {
    "helped": "helped",
    "no_gain": "did not help",
    "not_clear": "not clear",
    "harmed": "harmed",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a study for a reader who does not know the method.

    Attributes:
        headline: One line.
        tone: "helped", "caution" (a gain that is not shown to be transfer), "no_gain", "unclear", "harmed" or
            "none" (not measured).
        findings: What was measured, the main number first; without segments, which are in `segments`.
        warnings: What weakens or qualifies the result.
        next_steps: What to do.
        segments: (segment, outcome, change) for each segment that was measured. Naturally cold users are shown, but
            nothing else depends on them: they are a part of the cold users.
        standings: SCALR against the controls and top-1, as far as the study has them.
    """

    headline: str
    tone: Tone
    findings: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    next_steps: tuple[str, ...] = ()
    segments: tuple[tuple[str, Outcome, Change], ...] = ()
    standings: tuple[ArmStanding, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """All sentences in reading order: the main finding, segments, other findings, warnings, next steps."""
        return self.findings[:1] + self.segment_sentences + self.findings[1:] + self.warnings + self.next_steps

    @property
    def segment_sentences(self) -> tuple[str, ...]:
        """One sentence for each segment but "all"."""
        who = {"naturally_cold": f" ({NATURALLY_COLD})"}
        return tuple(
            f"{segment_name(segment)}{who.get(segment, '')}: {OUTCOME_WORDS[outcome]}, {change.text}."
            for segment, outcome, change in self.segments
            if segment != "all"
        )


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What a verdict rests on: `main` is SCALR against real events only, normalized entropy of all users."""

    study: Mapping[str, Any]
    changes: Sequence[Change]
    main: Change
    gate: Gate | None
    segments: tuple[tuple[str, Outcome, Change], ...]
    standings: tuple[ArmStanding, ...]

    @property
    def outcome(self) -> Outcome:
        return classify(self.main)

    @property
    def controls(self) -> list[ArmStanding]:
        return [standing for standing in self.standings if standing.arm in CONTROLS]

    @property
    def unbeaten(self) -> list[ArmStanding]:
        return [standing for standing in self.controls if standing.outcome != "beaten"]

    @property
    def shuffled_gains_as_much(self) -> bool:
        """Return whether shuffled users keep at least half of the gain and are not beaten."""
        return any(
            standing.arm == "shuffled_users"
            and (
                standing.outcome == "ahead"
                or (standing.change is not None and standing.change.change <= self.main.change / 2)
            )
            for standing in self.unbeaten
        )

    def named(self, outcome: Outcome) -> list[str]:
        """Return the warm or cold users with an outcome, in words."""
        names = (name for name, one, _ in self.segments if name in DECIDING[1:] and one == outcome)
        return [segment_name(name).lower() for name in dict.fromkeys(names)]


def verdict(study: Mapping[str, Any] | None) -> Verdict:
    """State in plain words whether synthetic events helped, and what to do next.

    Args:
        study: The content of `study.json` or `evaluation.json`; None if nothing was measured. Missing arms, segments
            and numbers are reported as missing, never guessed.
    """
    if not study:
        return _UNMEASURED
    n_events = (study.get("synthetic_events") or {}).get(ARM)
    if n_events and not any(n_events):
        return _NO_EVENTS
    changes, gate = read_changes(study), gate_of(study)
    main = find(changes, ARM)
    if main is None:
        return _NO_COMPARISON
    if gate is not None and not gate.open:
        return Verdict(
            "Synthetic events are not used: validation does not show that they help",
            "no_gain",
            findings=(gate.sentence,),
            warnings=split_warnings(study),
            next_steps=(
                "Keep training on real events alone; nothing is lost. Try again with more shared users, another source "
                "domain, or more target events to choose on.",
            ),
        )
    segments = tuple(
        (change.segment, classify(change), change)
        for change in changes
        if (change.arm, change.baseline, change.metric) == (ARM, BASELINE, METRIC)
    )
    changes = tuple(change for change in changes if change.segment in DECIDING)
    arms = (*CONTROLS, "top1")
    standings = tuple(standing for arm in arms if (standing := standing_of(changes, main, arm)) is not None)
    return _concluded(_Evidence(study, changes, main, gate, segments, standings))


_UNMEASURED = Verdict(
    "Synthetic events were made; what they are worth has not been measured yet",
    "none",
    next_steps=(
        "Run `scalr study` on the same files before using them: it trains with and without them and compares.",
    ),
)
_NO_EVENTS = Verdict(
    "No synthetic event was made, so there is nothing to judge",
    "none",
    findings=("Every draw was dropped, or no source item has other users with target events.",),
    next_steps=("Lower `--min-support`, widen the window, or use logs that share more users.",),
)
_NO_COMPARISON = Verdict(
    "The study does not say whether synthetic events help",
    "none",
    findings=("It has no comparison of SCALR with real events only on normalized entropy for all users.",),
    next_steps=("Run `scalr study` again with the arms real_only and scalr.",),
)


def _concluded(evidence: _Evidence) -> Verdict:
    changes, study = evidence.changes, evidence.study
    tone, headline = _headline(evidence)
    return Verdict(
        headline,
        tone,
        findings=(
            _main_finding(evidence),
            *([] if evidence.gate is None else [evidence.gate.sentence]),
            *_standing_findings(evidence),
            *method_findings(changes),
            *_ranking(changes, "helped"),
        ),
        warnings=(
            *split_warnings(study),
            *_evidence_warnings(evidence),
            *method_warnings(changes),
            *popularity_warnings(study),
            *_segment_warnings(evidence),
            *_ranking(changes, "harmed"),
            *_calibration(changes, study),
        ),
        next_steps=(*_gate_steps(evidence.gate), *_next_steps(tone, evidence)),
        segments=evidence.segments,
        standings=evidence.standings,
    )


def _headline(evidence: _Evidence) -> tuple[Tone, str]:
    size = percent(abs(evidence.main.change))
    if evidence.outcome == "harmed":
        return "harmed", f"Synthetic events did harm: prediction error rose by {size}"
    if evidence.outcome == "no_gain":
        return "no_gain", "Synthetic events did not help"
    if evidence.outcome == "not_clear":
        return "unclear", "It is not clear whether synthetic events help"
    if not evidence.controls:
        return "caution", f"Prediction error fell by {size}, but nothing shows why: the study has no controls"
    if evidence.shuffled_gains_as_much:
        return (
            "caution",
            f"Prediction error fell by {size}, but just as much with the wrong users: this is not transfer",
        )
    if unbeaten := evidence.unbeaten:
        names = arm_name(unbeaten[0].arm).lower() if len(unbeaten) == 1 else f"{len(unbeaten)} controls"
        return "caution", f"Prediction error fell by {size}, but not clearly more than with {names}"
    return "helped", f"Synthetic events helped: prediction error fell by {size}"


def _main_finding(evidence: _Evidence) -> str:
    seeds = seeds_of(evidence.study)
    ending = "" if seeds is None else f", {seeds} seed" if seeds == 1 else f", {seeds} seeds"
    change = evidence.main.text
    return f"Normalized entropy (prediction error, lower is better) against real events only: {change}{ending}."


def _standing_findings(evidence: _Evidence) -> list[str]:
    controls = evidence.controls
    lines = []
    for kind, words in (
        ("beaten", "SCALR beats"),
        ("level", "SCALR cannot be distinguished from"),
        ("ahead", "SCALR does worse than"),
    ):
        names = [arm_name(standing.arm).lower() for standing in controls if standing.outcome == kind]
        if names:
            every = "every control of this study: " if len(names) == len(controls) > 1 and kind == "beaten" else ""
            lines.append(f"{words} {every}{listed(names)}.")
    lines += _shuffled_finding(evidence)
    return lines + [_top1_finding(standing) for standing in evidence.standings if standing.arm == "top1"]


def _top1_finding(top1: ArmStanding) -> str:
    words = {"beaten": "is better than", "level": "cannot be distinguished from", "ahead": "is worse than"}
    change = top1.change
    against = "" if change is None else f": {percent(change.change, signed=True)} against real events only"
    return f"Sampling {words[top1.outcome]} always taking the likeliest item (top-1{against})."


def _shuffled_finding(evidence: _Evidence) -> list[str]:
    if evidence.outcome != "helped":
        return []
    if evidence.shuffled_gains_as_much:
        return [
            "Given to the wrong users, the same synthetic events gain about as much. What gains is not transfer: "
            "it is more data of the right shape, not knowledge about a user."
        ]
    for standing in evidence.standings:
        change = standing.change
        if standing.arm == "shuffled_users" and change is not None and classify(change) == "helped":
            return [
                f"Given to the wrong users, the same synthetic events still change it by "
                f"{percent(change.change, signed=True)}: that part is not transfer."
            ]
    return []


def _ranking(changes: Sequence[Change], wanted: Outcome) -> list[str]:
    lines = []
    for change in changes:
        if (change.arm, change.baseline, change.segment) != (ARM, BASELINE, "all") or not change.metric.startswith(
            ("ndcg", "recall")
        ):
            continue
        if classify(change) == wanted:
            word = "better" if wanted == "helped" else "worse"
            lines.append(f"Ranked lists got {word}: {metric_name(change.metric)} {change.text}.")
    return lines


def _evidence_warnings(evidence: _Evidence) -> list[str]:
    lines = []
    if evidence.main.interval is None:
        lines.append("The study gives no interval for the main number, so nothing follows from it.")
    seeds = seeds_of(evidence.study)
    if seeds is not None and seeds < ENOUGH_SEEDS:
        lines.append(
            f"Only {seeds} {'seed was' if seeds == 1 else 'seeds were'} run; "
            f"{ENOUGH_SEEDS} or more are needed to trust the interval."
        )
    present = {standing.arm for standing in evidence.standings}
    missing = [arm_name(arm).lower() for arm in CONTROLS if arm not in present]
    if missing:
        lines.append(f"Controls that this study lacks: {listed(missing)}. A gain counts when it beats them.")
    return lines


def _segment_warnings(evidence: _Evidence) -> list[str]:
    return [
        f"{segment_name(segment)} were harmed ({percent(change.change, signed=True)}) "
        "although the average over all users does not show it."
        for segment, outcome, change in evidence.segments
        if segment in DECIDING[1:] and outcome == "harmed" and evidence.outcome != "harmed"
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


def _next_steps(tone: Tone, evidence: _Evidence) -> tuple[str, ...]:
    steps = [*_tone_steps(tone, evidence)]
    harmed, helped = evidence.named("harmed"), evidence.named("helped")
    if harmed and tone != "harmed":
        steps.append(f"Use per-user shrinkage, or switch synthetic events off for {listed(harmed)}.")
    if helped and tone in {"no_gain", "unclear", "harmed"}:
        steps.append(f"Consider synthetic events for {listed(helped)} only.")
    steps += method_steps(evidence.changes)
    if any(standing.arm == "top1" and standing.outcome == "ahead" for standing in evidence.standings):
        steps.append("Try sharper draws: a temperature below 1, or `--strategy topk`.")
    if tone in {"helped", "caution"} and _calibration(evidence.changes, evidence.study):
        steps.append("Recalibrate predictions on recent real events before using them as probabilities.")
    return tuple(steps)


def _tone_steps(tone: Tone, evidence: _Evidence) -> list[str]:
    if tone == "caution":
        return _caution_steps(evidence)
    return {
        "helped": ["Train your own model on real + weighted synthetic events, then confirm with an online experiment."],
        "no_gain": ["Omit synthetic events, or try fewer draws or a lower temperature (`--draws`, `--temperature`)."],
        "unclear": ["Run more seeds or use a longer test period; until then, omit synthetic events."],
        "harmed": [
            "Do not train on these synthetic events. Try a lower weight (`--synthetic-weight`), fewer draws, or the "
            "auxiliary objective."
        ],
        "none": [],
    }[tone]


def _gate_steps(gate: Gate | None) -> list[str]:
    if gate is None or not gate.closed:
        return []
    closed = listed([segment_name(segment).lower() for segment in gate.closed])
    return [f"Serve {closed} with the model trained on real events alone, the others with the augmented one."]


def _caution_steps(evidence: _Evidence) -> list[str]:
    unbeaten = evidence.unbeaten
    if not evidence.controls:
        return ["Run the study with all controls before crediting the other domain with this gain."]
    if any(standing.outcome == "ahead" for standing in unbeaten):
        return ["A control gains more: do what it does, or train longer, before using synthetic events."]
    if any(standing.change is not None and classify(standing.change) == "helped" for standing in unbeaten):
        return ["Do not credit the other domain with this gain: controls gain too. Compare with longer training first."]
    return ["Run more seeds or use a longer test period, until the controls can be distinguished."]
