"""Rounds of candidate settings for `auto`; candidates depend on the best settings so far."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial

from scalr.foundation import Steps, TrainSettings
from scalr.logs import MICROSECONDS_PER_DAY, EventLog
from scalr.studies.choosing.races import Changes

PRIORS = (0.0, 0.5, 1.0)
HALF_LIVES = (0.5, 0.2, 0.1, 0.05)
WINDOWS = (0.01, 0.04, 0.16)  # from source to target event, as shares of the time that the target log spans
LAWS: tuple[Changes, ...] = tuple(
    {"translate.translator": name, "sample.draws_per_event": draws, "sample.temperature": temperature}
    for name, draws, temperature in (
        ("cooccurrence", 4, 1.0),
        ("conditioned", 4, 1.0),
        ("conditioned", 4, 0.5),
        ("factor", 1, 1.0),
        ("cooccurrence", 4, 0.5),
        ("factor", 4, 1.0),
    )
)
OWN_TRAINING = ("l2", "learning_rate", "popularity_prior", "shrinkage", "synthetic_penalty")
"""Training settings, besides the weight, for which synthetic events may choose other values than real events alone."""
LARGEST_STEP_SIZE = 0.2  # training is close to diverging beyond it
MAX_DRAWS = 4_000_000  # of a trial, if more draws per event are tried
MAX_LAST_DRAWS = 8_000_000  # of the last trials, from which no other round starts

Round = tuple[str, Callable[[Steps], Sequence[Changes]]]


def baseline_rounds(*, timed: bool, is_free: bool) -> list[Round]:
    """Return the reference model's rounds for real events alone.

    Args:
        timed: Whether the target log has times.
        is_free: Whether the popularity prior may be chosen.
    """
    rounds: list[Round] = [("popularity", _priors)] if is_free else []
    if timed:
        rounds.append(("half-life", lambda now: [{"train.half_life": share} for share in HALF_LIVES]))
        rounds += [("popularity again", _priors)] if is_free else []
    rounds.append(("penalty", partial(_times, name="train.l2", factors=(2.0, 0.5))))
    rounds.append(("step", partial(_times, name="train.learning_rate", factors=(0.5, 2.0))))
    rounds.append(("penalty again", partial(_times, name="train.l2", factors=(2.0, 0.5))))
    for name in ("half_life", "l2", "learning_rate"):
        rounds.append((f"finer {name.replace('_', '-')}", partial(_finer, name=f"train.{name}")))
    if is_free:
        rounds.append(("finer popularity", _other_priors))
    return rounds


def _finer(now: Steps, name: str) -> list[Changes]:
    value = now.at(name)
    finer = [] if value is None else [_rounded(value * factor) for factor in (0.7, 1.4)]
    return [{name: one} for one in finer if name != "train.learning_rate" or one <= LARGEST_STEP_SIZE]


def _other_priors(now: Steps) -> list[Changes]:
    prior = now.train.popularity_prior or 0.0
    return [{"train.popularity_prior": prior + step} for step in (-0.5, -0.25, 0.25, 0.5) if 0 <= prior + step <= 1]


def model_rounds(tuned: Collection[str], *, timed: bool) -> list[Round]:
    """Return another model's rounds for real events alone: few, since each of its trials takes long.

    Args:
        tuned: Names of the training settings that matter to it.
        timed: Whether the target log has times.
    """
    half_lives: list[Changes] = [{"train.half_life": share} for share in (None, *HALF_LIVES[:3]) if timed]
    rounds: list[tuple[str, Round]] = [
        ("learning_rate", ("step", _steps)),
        ("l2", ("penalty", partial(_times, name="train.l2", factors=(0.1, 10)))),
        ("popularity_prior", ("popularity", _priors)),
        ("half_life", ("half-life", lambda now: half_lives)),
        # The best step depends on the other settings, which have changed, and may lie outside the first candidates.
        ("learning_rate", ("step again", _steps)),
        ("l2", ("penalty again", partial(_times, name="train.l2", factors=(0.3, 3)))),
        ("popularity_prior", ("popularity again", _priors)),
        ("learning_rate", ("finer step", partial(_times, name="train.learning_rate", factors=(0.6, 1.7)))),
    ]
    return [round_ for name, round_ in rounds if name in tuned]


def weight_rounds(tuned: Collection[str]) -> list[Round]:
    """Return another model's rounds for synthetic events that the reference model chose.

    Args:
        tuned: Names of the training settings that matter to it.
    """
    weight = "train.synthetic_weight"
    of_model: dict[str, Round] = {
        "popularity_prior": ("popularity", _priors),
        "learning_rate": ("step", _steps),
    }
    return [
        ("weight", partial(_times, name=weight, factors=(1 / 30, 0.1, 1 / 3, 3))),
        ("shrinkage", lambda now: [{"train.shrinkage": one} for one in (None, 1.0, 4.0)]),
        *(round_ for name, round_ in of_model.items() if name in tuned),
        ("finer weight", partial(_times, name=weight, factors=(0.6, 1.7))),
    ]


def _priors(now: Steps) -> list[Changes]:
    return [{"train.popularity_prior": prior} for prior in PRIORS]


def _steps(now: Steps) -> list[Changes]:
    return _times(now, "train.learning_rate", (1 / 3, 3))


def _times(now: Steps, name: str, factors: tuple[float, ...]) -> list[Changes]:
    return [{name: _rounded(now.at(name) * factor)} for factor in factors]


def event_rounds(log: EventLog, n_events: int) -> list[Round]:
    """Return the rounds for synthetic events; windows need a target log whose times are days."""
    rounds: list[Round] = [("law", lambda now: LAWS), ("strength", _strengths)]
    rounds.append(("neighbours", partial(_neighbours, n_events=n_events)))
    if log.time is not None and log.time_unit is not None and log.time_unit.kind != "order":
        days = (int(log.time.max()) - int(log.time.min())) / MICROSECONDS_PER_DAY
        windows = [{"translate.window_days": _rounded(share * days)} for share in WINDOWS if share * days > 0]
        rounds.append(("window", lambda now: [] if now.translate.translator == "factor" else windows))
    return [
        *rounds,
        ("law again", _laws_again),
        ("finer", _finer_strengths),
        ("less noise", partial(_less_noise, n_events=n_events)),
    ]


def first_changes(steps: Steps) -> Changes:
    """Return the start of the rounds, with every setting that they change: the first law at the given weights."""
    names = ("synthetic_weight", "shrinkage", "synthetic_penalty")
    return {**LAWS[0], **{f"train.{name}": getattr(steps.train, name) for name in names}}


def _strengths(now: Steps) -> list[Changes]:
    weight = now.train.synthetic_weight
    return [
        {"train.shrinkage": None},
        {"train.shrinkage": None, "train.l2": now.at("train.l2") / 2, "train.synthetic_penalty": 1.0},
        {"train.synthetic_penalty": 0.5},
        {"train.shrinkage": 1.0},
        {"train.synthetic_weight": _rounded(weight / 3)},
        {"train.synthetic_weight": _rounded(weight * 3)},
    ]


def _neighbours(now: Steps, n_events: int) -> list[Changes]:
    draws, weight, temperature = now.sample.draws_per_event, now.train.synthetic_weight, now.sample.temperature
    more: list[Changes] = [
        {"sample.draws_per_event": 2 * draws},
        {"sample.draws_per_event": 4 * draws, "train.synthetic_weight": _rounded(weight / 2)},
    ]
    return [
        *(changes for changes in more if changes["sample.draws_per_event"] * n_events <= MAX_DRAWS),
        {"train.synthetic_weight": _rounded(weight / 2)},
        {"train.synthetic_weight": _rounded(weight * 2)},
        {"train.shrinkage": 4.0 if now.train.shrinkage is None else None},
        {"sample.temperature": _rounded(temperature * 0.7)},
        {"sample.temperature": _rounded(temperature / 0.7)},
        {"train.objective": "joint"},
    ]


def _less_noise(now: Steps, n_events: int) -> list[Changes]:
    """Return more draws at the same total weight: less noise in the events, at a higher cost."""
    draws, weight = now.sample.draws_per_event, now.train.synthetic_weight
    return [
        {"sample.draws_per_event": times * draws, "train.synthetic_weight": _rounded(weight / times)}
        for times in (2, 4)
        if times * draws * n_events <= MAX_LAST_DRAWS
    ]


def _finer_strengths(now: Steps) -> list[Changes]:
    weight, kappa, share = now.train.synthetic_weight, now.train.shrinkage, now.train.synthetic_penalty
    return [
        {"train.synthetic_weight": _rounded(weight * 0.7)},
        {"train.synthetic_weight": _rounded(weight * 1.4)},
        *({"train.shrinkage": _rounded(kappa * factor)} for factor in (0.5, 2.0) if kappa is not None),
        *({"train.synthetic_penalty": _rounded(share * factor)} for factor in (0.5, 0.25)),
    ]


def _laws_again(now: Steps) -> list[Changes]:
    others = [law for law in LAWS if law["translate.translator"] != now.translate.translator]
    first = {law["translate.translator"]: law for law in reversed(others)}
    names = [
        {"translate.translator": name, "translate.window_days": None if name == "factor" else now.translate.window_days}
        for name in first
    ]
    return [*names, {"translate.backoff": 3.0}]


def for_a_control(now: Steps, baseline: TrainSettings) -> list[Changes]:
    """Return the candidates of a control: other weights, and the training that real events alone chose."""
    weight = now.train.synthetic_weight
    return [
        {"train.synthetic_weight": _rounded(weight / 3)},
        {"train.synthetic_weight": _rounded(weight * 3)},
        {f"train.{name}": getattr(baseline, name) for name in OWN_TRAINING},
    ]


def with_training_of(steps: Steps, train: TrainSettings) -> Steps:
    """Return the settings with other training settings, but their own synthetic weight."""
    weight = steps.train.synthetic_weight
    return steps.model_copy(update={"train": train.model_copy(update={"synthetic_weight": weight})})


def _rounded(value: float) -> float:
    """Round to two significant digits, so that people can read and repeat the settings."""
    return float(f"{value:.2g}")
