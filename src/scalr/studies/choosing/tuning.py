"""Choose a study's settings on the validation periods: for real events alone, then for synthetic ones, then the gate.

No test event is seen. Real events alone go first and choose what all arms share, so that augmentation starts from a
baseline that was tuned for itself. Then, where the translator is `auto`, rounds of trials choose translator, draws,
temperature, weight, shrinkage and objective; every round begins with the best settings so far, so none can lose.
Where several settings are equal by prediction error, the one that ranks best is chosen, for every arm alike.
Conventional methods choose their strength by the same races.
Another model than the reference takes the events that the reference chose and chooses rates and weights of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from scalr.evaluation import (
    REFERENCE,
    REHEARSALS,
    Split,
    get_model,
    rehearsal,
    settled,
    share_cores,
    split,
)
from scalr.foundation import RIVALS, Arm, Board, Steps
from scalr.logs import Pair
from scalr.studies.choosing.choice import Choice, Search
from scalr.studies.choosing.races import SURVIVORS, Journal
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
from scalr.studies.choosing.trialling import Examiner
from scalr.studies.gate import Opening, choosing, never_open, open_segments

AUTO = "auto"
TUNED_CONTROLS: tuple[Arm, ...] = ("oversampled_real", "random_items", "popular_items", "shuffled_users", "top1")
MOST_CONTROL_TRIALS = 4
RANKED_PAIRWISE = 100  # users whose lists are judged where a model scores a catalogue pair by pair
HANDED_OVER = ("popularity_prior", "half_life", "synthetic_weight", "shrinkage", "objective")  # to another model


def choose(pair: Pair, steps: Steps, arms: Sequence[Arm], *, journal: Journal, threads: int, board: Board) -> Choice:
    """Choose settings on the validation folds of the first seeds.

    Args:
        pair: The whole logs.
        steps: Settings to begin with; `study` says how much may be tried.
        arms: Arms of the study.
        journal: Outcomes that are known already.
        threads: Trials at a time.
        board: Shown the progress.
    """
    share_cores(steps.train.model, threads)
    seeds = range(steps.seed, steps.seed + min(steps.study.choosing_seeds, steps.study.seeds))
    folds = [split(pair, steps.split, seed).validation for seed in seeds]
    examiner = Examiner(folds, steps.seed, journal, threads, board)
    searches, is_auto = dict[str, Search](), steps.translate.translator == AUTO
    is_reference = steps.train.model == REFERENCE
    if is_auto and not is_reference:
        steps = _events_of_the_reference(examiner, steps, searches)
    steps = steps.model_copy(update={"train": settled(steps.train)})
    if get_model(steps.train.model).ranks_pairwise and steps.evaluate.ranked_users is None:
        steps = steps.changed({"evaluate.ranked_users": RANKED_PAIRWISE})
    steps = _baseline(examiner, steps, searches, "real_only")
    own: dict[Arm, Steps] = {"real_only": steps}
    later: dict[Arm, Callable[[], Search]] = {}  # what may be searched side by side
    if is_auto:
        baseline = steps.train
        if is_reference:
            steps = _events(examiner, steps, searches, "scalr")
        else:
            rounds = weight_rounds(get_model(steps.train.model).tuned)
            weighed = examiner.search("scalr", steps, rounds, steps.study.trials, steps.study.budget_seconds)
            searches["scalr"], steps = weighed, steps.changed(weighed.chosen)
        for arm in (arm for arm in TUNED_CONTROLS if arm in arms):
            # What has only real rows begins with what real rows chose; what has synthetic ones, with what those chose.
            own[arm] = with_training_of(steps, baseline) if arm == "oversampled_real" else steps
            weights: list[Round] = [("weight", partial(for_a_control, baseline=baseline))]
            later[arm] = partial(examiner.search, arm, own[arm], weights, MOST_CONTROL_TRIALS)
    for arm in (arm for arm in arms if arm in RIVALS):
        later[arm] = partial(examiner.strength, arm, own["real_only"], steps.study.rival_trials)
    with ThreadPoolExecutor(max(len(later), 1)) as pool:
        searches |= zip(later, pool.map(lambda search: search(), later.values()), strict=True)
    own |= {arm: own[arm].changed(searches[arm].chosen) for arm in TUNED_CONTROLS if arm in later}
    return Choice(steps, own, searches, _gate(examiner, pair, steps, own["real_only"], is_auto=is_auto))


def _baseline(examiner: Examiner, steps: Steps, searches: dict[str, Search], name: str) -> Steps:
    """Return the settings that real events alone choose, for all arms."""
    is_free, most = steps.train.popularity_prior is None, steps.study.baseline_trials
    if is_free:
        steps = steps.changed({"train.popularity_prior": 0.0})
    if not most:
        return steps
    if steps.train.model == REFERENCE:
        # Its trials are cheap: every candidate sees every seed, so none is lost by the luck of the first one.
        rounds, survivors = baseline_rounds(timed=examiner.is_timed, is_free=is_free), 1
    else:
        rounds, survivors = model_rounds(get_model(steps.train.model).tuned, timed=examiner.is_timed), SURVIVORS
    searches[name] = examiner.search("real_only", steps, rounds, most, survivors=survivors)
    return steps.changed(searches[name].chosen)


def _events(examiner: Examiner, steps: Steps, searches: dict[str, Search], name: str) -> Steps:
    """Return the settings by which the reference model learns most from synthetic events."""
    pair, limits = examiner.pair, steps.study
    steps = steps.changed({"refine.duplicates": "merge"})
    rounds = event_rounds(pair.target, len(pair.source))
    searches[name] = examiner.search("scalr", steps, rounds, limits.trials, limits.budget_seconds, first_changes(steps))
    return steps.changed(searches[name].chosen)


def _events_of_the_reference(examiner: Examiner, steps: Steps, searches: dict[str, Search]) -> Steps:
    """Let the reference model, which learns in seconds, choose the events; another model then weighs them."""
    rates = ("loss", "checkpoints", "learning_rate", "l2", "max_epochs", "patience")
    reference = steps.changed({"train.model": REFERENCE, **{f"train.{name}": None for name in rates}})
    reference = reference.model_copy(update={"train": settled(reference.train)})
    reference = _baseline(examiner, reference, searches, f"{REFERENCE}_real_only")
    reference = _events(examiner, reference, searches, f"{REFERENCE}_scalr")
    made = {name: getattr(reference, name) for name in ("translate", "sample", "refine")}
    return steps.model_copy(update=made).changed(
        {f"train.{name}": getattr(reference.train, name) for name in HANDED_OVER}
    )


def _gate(
    examiner: Examiner, pair: Pair, steps: Steps, baseline: Steps, *, is_auto: bool
) -> Mapping[str, tuple[Opening, ...]]:
    """Return by rehearsal for whom it opens the gate; nothing without a gate."""
    if not (is_auto if steps.study.gate is None else steps.study.gate):
        return {}
    arms: dict[Arm, Steps] = {"real_only": baseline, "scalr": steps, "shuffled_users": steps}
    places: dict[str, list[Split]] = {}
    for name in REHEARSALS:
        found = [place for seed in examiner.seeds if (place := rehearsal(name, pair, steps.split, seed)) is not None]
        if len(found) == len(examiner.seeds) and all(
            len(place.validation.user) and len(choosing(place.test, judge=True).user) for place in found
        ):
            places[name] = found
    judged = examiner.rehearsed(arms, places)
    return {name: open_segments(judged[name]) if name in judged else never_open() for name in REHEARSALS}
