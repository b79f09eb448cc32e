"""What the validation periods chose: the gate in words, the trials as rows and as a chart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from scalr.errors import require_extra
from scalr.report.comparisons import ARM, BASELINE
from scalr.report.drawing import BLUE, EXTRA, GREY, NARROW, PALE, PERCENT, Figure, figure, spec
from scalr.report.wording import arm_name, count, decimal, listed, number, p_value, percent, segment_name

Json = Mapping[str, Any]

SETTING_NAMES = {
    "translate.translator": "",
    "translate.window_days": "window, days",
    "translate.backoff": "back-off",
    "sample.draws_per_event": "draws",
    "sample.temperature": "temperature",
    "refine.duplicates": "duplicates",
    "train.synthetic_weight": "weight λ",
    "train.shrinkage": "shrinkage κ",
    "train.synthetic_penalty": "share of the penalty",
    "train.objective": "objective",
    "train.popularity_prior": "popularity prior",
    "train.half_life": "half-life",
    "train.l2": "penalty",
    "train.learning_rate": "step size",
}

_PERIODS = {"near": "the validation period", "far": "an earlier period as long as the test period"}


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
        """Say who gets augmentation, and why others do not."""
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
    """Return the gate of a study; None without one."""
    openings = ((study or {}).get("choice") or {}).get("gate") or ()
    if not openings:
        return None
    is_open = [one["segment"] for one in openings if one.get("open")]
    shut = {one["segment"]: _reason(one) for one in openings if not one.get("open")}
    return Gate(tuple(is_open), tuple(shut), shut)


def _reason(opening: Json) -> str:
    change, level = number(opening.get("change")), number(opening.get("level")) or 0.05
    if change is None:
        return "too few users to tell"
    where = _PERIODS.get(opening.get("rehearsal") or "near", "")
    if change >= 0:
        return f"prediction error rises by {percent(change)} on {where}"
    p_real, p_shuffled = number(opening.get("p_real_only")), number(opening.get("p_shuffled_users"))
    if p_real is not None and p_real < level and p_shuffled is not None:
        return f"other users' synthetic events help as much (p = {p_shuffled:.2f})"
    return f"a gain of {percent(-change)} on {where} may be chance (p = {p_real or 0.0:.2f})"


def rehearsal_rows(study: Json | None) -> list[dict[str, str]]:
    """Return one entry per rehearsal of the gate and segment, in words: where it was judged and what it showed."""
    rehearsed = ((study or {}).get("choice") or {}).get("rehearsals") or {}
    return [
        {
            "judged": _PERIODS.get(name, name).capitalize(),
            "segment": segment_name(one["segment"]),
            "users": count(one["users"]),
            "change": _known(one.get("change"), partial(percent, signed=True)),
            "p_real": _known(one.get("p_real_only"), p_value),
            "p_shuffled": _known(one.get("p_shuffled_users"), p_value),
            "gains": "yes" if one.get("open") else "no",
        }
        for name, openings in rehearsed.items()
        for one in openings
    ]


def _known(value: Any, words: Callable[[float], str]) -> str:
    size = number(value)
    return "–" if size is None else words(size)


def trial_rows(study: Json | None) -> list[dict[str, Any]]:
    """Return one entry per arm that searched: `arm`, what it chose in `words`, why it stopped, and `rows`.

    A row has the round, what was tried, mean normalized entropy and NDCG over its seeds, seeds, and whether it was
    chosen.
    """
    found = []
    for arm, search in _searches(study):
        chosen = search.get("chosen") or {}
        rows = [
            {
                "round": round_name.capitalize(),
                "words": _changes(trial["changes"]) or "the settings at the beginning",
                "loss": _mean(trial["loss"], "diverged"),
                "ndcg": _mean(trial.get("ndcg") or [None], "–"),
                "seeds": len(trial["loss"]),
                "is_chosen": trial["changes"] == chosen,
            }
            for round_name, trials in (search.get("rounds") or {}).items()
            for trial in trials
        ]
        words = _changes(chosen) or "what it began with"
        found.append({"arm": arm_name(arm), "words": words, "stopped": search.get("stopped") or "", "rows": rows})
    return found


def trials_chart(study: Json | None) -> Figure | None:
    """Draw every trial of SCALR by its change of validation loss against real events alone, round after round.

    Only the first seed is drawn, which all trials share; None where nothing was tried.
    """
    searches = dict(_searches(study))
    real = _best_first_loss(searches.get(BASELINE))
    rounds = (searches.get(ARM) or {}).get("rounds") or {}
    if not rounds or real is None:
        return None
    rows: list[dict[str, Any]] = []
    best, seen = 0.0, set[str]()
    for name, trials in rounds.items():
        for trial in reversed(trials):
            key = str(sorted(trial["changes"].items()))
            if key in seen:
                continue
            seen.add(key)
            if trial["loss"][0] is None:
                continue
            change = trial["loss"][0] / real - 1
            best = min(best, change)
            rows.append({"trial": len(rows) + 1, "change": change, "best": best, "round": name.capitalize()})
    low, high = min(row["change"] for row in rows), max(row["change"] for row in rows)
    top = min(high, max(-low, 0.01))  # a trial that does great harm must not press the others together

    def draw(width: int) -> dict[str, Any]:
        alt = require_extra("altair", EXTRA)
        shown = [
            row | {"change": min(row["change"], top), "colour": BLUE if row["change"] < 0 else PALE} for row in rows
        ]
        domain = [min(low * 1.1, 0.0), max(top * 1.1, 0.001)]
        base = alt.Chart(alt.Data(values=shown)).encode(
            x=alt.X("trial:Q", axis=alt.Axis(title="Trial", grid=False, tickMinStep=1), scale=alt.Scale(nice=False)),
            y=alt.Y(
                "change:Q",
                scale=alt.Scale(domain=domain, nice=False),
                axis=alt.Axis(title=None, labelExpr=PERCENT, tickCount=5),
            ),
        )
        zero = alt.Chart(alt.Data(values=[{"change": 0}])).mark_rule(color=GREY).encode(y="change:Q")
        line = base.mark_line(interpolate="step-after", color=GREY, strokeWidth=1.5).encode(y="best:Q")
        dots = base.mark_circle(size=60 if width > NARROW else 36, opacity=1).encode(
            color=alt.Color("colour:N", scale=None)
        )
        return spec(zero + line + dots, width, 220, left=64, right=16, bottom=40)

    label = (
        f"{len(rows)} trials of settings; the best one changes validation loss by {percent(best, signed=True)} against "
        "real events alone."
    )
    return figure("trials", label, draw)


def _searches(study: Json | None) -> Iterator[tuple[str, Json]]:
    yield from (((study or {}).get("choice") or {}).get("searches") or {}).items()


def _best_first_loss(search: Json | None) -> float | None:
    losses = [trial["loss"][0] for trials in ((search or {}).get("rounds") or {}).values() for trial in trials]
    return min((loss for loss in losses if loss is not None), default=None)


def _mean(values: Sequence[float | None], otherwise: str) -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known) / len(known):.4f}" if len(known) == len(values) else otherwise


def _changes(changes: Json) -> str:
    """Return changed settings in words, the translator first."""
    ordered = sorted(changes, key=lambda name: (list(SETTING_NAMES).index(name) if name in SETTING_NAMES else 99, name))
    return ", ".join(f"{SETTING_NAMES.get(name, name)} {_value(changes[name])}".strip() for name in ordered)


def _value(value: Any) -> str:
    size = number(value)
    return "none" if value is None else str(value) if size is None else decimal(size)
