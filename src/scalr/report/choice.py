"""The section on chosen settings: rehearsals of the gate, trials as rows and as a chart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from scalr.foundation import Json, require_extra
from scalr.report.cells import number_text, setting_text
from scalr.report.drawing import BLUE, EXTRA, GREY, NARROW, PALE, PERCENT, Figure, figure, spec
from scalr.studies import ARM, BASELINE, PERIODS, arm_name, count, p_value, percent, segment_name

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


def rehearsal_rows(study: Json | None) -> list[dict[str, str]]:
    """Return one row per rehearsal and segment: the period, users, change of loss, p-values, and whether it gains."""
    rehearsed = ((study or {}).get("choice") or {}).get("rehearsals") or {}
    return [
        {
            "judged": PERIODS.get(name, name).capitalize(),
            "segment": segment_name(one["segment"]),
            "users": count(one["users"]),
            "change": number_text(one.get("change"), partial(percent, signed=True)),
            "p_real": number_text(one.get("p_real_only"), p_value),
            "p_shuffled": number_text(one.get("p_shuffled_users"), p_value),
            "gains": "yes" if one.get("open") else "no",
        }
        for name, openings in rehearsed.items()
        for one in openings
    ]


def trial_rows(study: Json | None) -> list[dict[str, Any]]:
    """Return one entry per arm with a search: `arm`, the chosen settings in `words`, why it stopped, and `rows`.

    A row has the round, the settings, mean normalized entropy and NDCG over its seeds, the number of seeds, and whether
    it was chosen.
    """
    found = []
    for arm, search in _searches(study):
        chosen = search.get("chosen") or {}
        rows = [
            {
                "round": round_name.capitalize(),
                "words": _changes(trial["changes"]) or "initial settings",
                "loss": _mean(trial["loss"], "diverged"),
                "ndcg": _mean(trial.get("ndcg") or [None], "–"),
                "seeds": len(trial["loss"]),
                "is_chosen": trial["changes"] == chosen,
            }
            for round_name, trials in (search.get("rounds") or {}).items()
            for trial in trials
        ]
        words = _changes(chosen) or "initial settings"
        found.append({"arm": arm_name(arm), "words": words, "stopped": search.get("stopped") or "", "rows": rows})
    return found


def trials_chart(study: Json | None) -> Figure | None:
    """Draw every trial of SCALR by its change of validation loss against real events only, in the order of rounds.

    Only the first seed is drawn, which all trials share; None without trials.
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
    top = min(high, max(-low, 0.01))  # one very bad trial must not compress the scale of the others

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
        f"{len(rows)} trials of settings; the best changes validation loss by {percent(best, signed=True)} against "
        "real events only."
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
    """Return changed settings as text, the translator first."""
    ordered = sorted(changes, key=lambda name: (list(SETTING_NAMES).index(name) if name in SETTING_NAMES else 99, name))
    return ", ".join(f"{SETTING_NAMES.get(name, name)} {setting_text(changes[name])}".strip() for name in ordered)
