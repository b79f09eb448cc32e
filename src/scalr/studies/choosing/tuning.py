"""Choose a study's settings on the validation periods: for real events alone, then for synthetic ones.

No test event is used. Real events alone go first and choose what all arms share, so that augmentation starts from a
baseline that was tuned for itself. Then, with the translator `auto`, rounds of trials choose translator, draws,
temperature, weight, shrinkage and objective; every round starts from the best settings so far, so no round can lose.
If several settings are equal by prediction error, the setting that ranks best is chosen, for every arm alike.
Conventional methods choose their strength by the same races. Another model than the reference takes the events that
the reference chose, and chooses learning rates and weights of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

from scalr.evaluation import REFERENCE, get_model, settled, share_cores
from scalr.foundation import RIVALS, Arm, Steps
from scalr.studies.choosing.choice import Choice, Search
from scalr.studies.choosing.races import SURVIVORS
from scalr.studies.choosing.rounds import (
    Round,
    baseline_rounds,
    event_rounds,
    first_changes,
    for_a_control,
    model_rounds,
    weight_rounds,
    with_training_of,
)
from scalr.studies.choosing.trialling import SearchPlan, ValidationTrials

AUTO = "auto"
TUNED_CONTROLS: tuple[Arm, ...] = ("oversampled_real", "random_items", "popular_items", "shuffled_users", "top1")
MAX_CONTROL_TRIALS = 4
RANKED_PAIRWISE = 100  # users whose lists are judged if a model scores a catalogue pair by pair
HANDED_OVER = ("popularity_prior", "half_life", "synthetic_weight", "shrinkage", "objective")  # to another model
RATES = ("loss", "checkpoints", "learning_rate", "l2", "max_epochs", "patience")  # a model's own, not handed over


@dataclass(frozen=True, slots=True)
class Tuning:
    """What is chosen so far; each phase returns the next state.

    Attributes:
        trials: Trains candidates on the validation folds.
        arms: Arms of the study.
        is_auto: Whether synthetic events are chosen too.
        steps: Settings of `scalr`.
        own: Settings of the arms that chose for themselves.
        searches: What was tried, by name of the search.
    """

    trials: ValidationTrials
    arms: Sequence[Arm]
    is_auto: bool
    steps: Steps
    own: Mapping[Arm, Steps] = field(default_factory=dict)
    searches: Mapping[str, Search] = field(default_factory=dict)

    @property
    def is_reference(self) -> bool:
        """Return whether the model is the reference model, whose trials take seconds."""
        return self.steps.train.model == REFERENCE

    def after(self, name: str, search: Search) -> Tuning:
        """Return the state with the settings that a search chose."""
        return replace(self, steps=self.steps.changed(search.chosen), searches={**self.searches, name: search})


def tune(trials: ValidationTrials, steps: Steps, arms: Sequence[Arm]) -> Choice:
    """Choose settings on the validation folds of the first seeds.

    Args:
        trials: Trains candidates on these folds.
        steps: Settings to start from; `study` limits how much may be tried.
        arms: Arms of the study.
    """
    share_cores(steps.train.model, trials.threads)
    state = Tuning(trials, arms, steps.translate.translator == AUTO, steps)
    for phase in PHASES:
        state = phase(state)
    return Choice(state.steps, state.own, state.searches)


def _borrow_events(state: Tuning) -> Tuning:
    """Let the reference model choose the events; another model then only weighs them."""
    if not state.is_auto or state.is_reference:
        return state
    steps = state.steps.changed({"train.model": REFERENCE, **{f"train.{name}": None for name in RATES}})
    reference = _complete_training(replace(state, steps=steps))
    reference = _search_baseline(reference, f"{REFERENCE}_real_only")
    reference = _search_events(reference, f"{REFERENCE}_scalr")
    chosen = {name: getattr(reference.steps, name) for name in ("translate", "sample", "refine")}
    training = {f"train.{name}": getattr(reference.steps.train, name) for name in HANDED_OVER}
    return replace(state, steps=state.steps.model_copy(update=chosen).changed(training), searches=reference.searches)


def _complete_training(state: Tuning) -> Tuning:
    """Fill in the model's own settings."""
    return replace(state, steps=state.steps.model_copy(update={"train": settled(state.steps.train)}))


def _limit_ranking(state: Tuning) -> Tuning:
    """Judge the lists of few users if the model scores a catalogue pair by pair."""
    if not get_model(state.steps.train.model).ranks_pairwise or state.steps.evaluate.ranked_users is not None:
        return state
    return replace(state, steps=state.steps.changed({"evaluate.ranked_users": RANKED_PAIRWISE}))


def _tune_baseline(state: Tuning) -> Tuning:
    """Let real events alone choose the settings that all arms share."""
    state = _search_baseline(state, "real_only")
    return replace(state, own={"real_only": state.steps})


def _search_baseline(state: Tuning, name: str) -> Tuning:
    trials, steps = state.trials, state.steps
    is_free, max_trials = steps.train.popularity_prior is None, steps.study.baseline_trials
    if is_free:
        state = replace(state, steps=steps.changed({"train.popularity_prior": 0.0}))
    if not max_trials:
        return state
    if state.is_reference:
        # These trials are cheap: every candidate is tried with every seed, so no luck of the first seed decides.
        rounds, survivors = baseline_rounds(timed=trials.is_timed, is_free=is_free), 1
    else:
        rounds, survivors = model_rounds(get_model(steps.train.model).tuned, timed=trials.is_timed), SURVIVORS
    plan = SearchPlan(rounds, max_trials, survivors=survivors)
    return state.after(name, trials.search("real_only", state.steps, plan))


def _tune_events(state: Tuning) -> Tuning:
    """Let synthetic events choose how they are made and weighed, or, for another model, how they are weighed."""
    if not state.is_auto:
        return state
    if state.is_reference:
        return _search_events(state, "scalr")
    limits = state.steps.study
    plan = SearchPlan(weight_rounds(get_model(state.steps.train.model).tuned), limits.trials, limits.budget_seconds)
    return state.after("scalr", state.trials.search("scalr", state.steps, plan))


def _search_events(state: Tuning, name: str) -> Tuning:
    """Search the settings by which the reference model learns most from synthetic events."""
    pair, limits = state.trials.pair, state.steps.study
    state = replace(state, steps=state.steps.changed({"refine.duplicates": "merge"}))
    rounds = event_rounds(pair.target, len(pair.source))
    plan = SearchPlan(rounds, limits.trials, limits.budget_seconds, start=first_changes(state.steps))
    return state.after(name, state.trials.search("scalr", state.steps, plan))


def _tune_controls_and_methods(state: Tuning) -> Tuning:
    """Let controls choose weights and conventional methods strengths, side by side."""
    baseline, searches = state.own["real_only"], dict[Arm, Callable[[], Search]]()
    own = dict(state.own)
    for arm in (arm for arm in TUNED_CONTROLS if state.is_auto and arm in state.arms):
        # An arm of real rows starts from what real events chose, an arm of synthetic rows from what these chose.
        own[arm] = with_training_of(state.steps, baseline.train) if arm == "oversampled_real" else state.steps
        rounds: list[Round] = [("weight", partial(for_a_control, baseline=baseline.train))]
        searches[arm] = partial(state.trials.search, arm, own[arm], SearchPlan(rounds, MAX_CONTROL_TRIALS))
    for arm in (arm for arm in state.arms if arm in RIVALS):
        searches[arm] = partial(state.trials.search_strength, arm, baseline, state.steps.study.rival_trials)
    with ThreadPoolExecutor(max(len(searches), 1)) as pool:
        found = dict(zip(searches, pool.map(lambda search: search(), searches.values()), strict=True))
    own |= {arm: own[arm].changed(found[arm].chosen) for arm in TUNED_CONTROLS if arm in found}
    return replace(state, own=own, searches={**state.searches, **found})


PHASES: tuple[Callable[[Tuning], Tuning], ...] = (
    _borrow_events,
    _complete_training,
    _limit_ranking,
    _tune_baseline,
    _tune_events,
    _tune_controls_and_methods,
)
"""Phases of `tune`, in order."""
