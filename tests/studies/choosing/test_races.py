"""Races of candidates, and the journal of trials."""

import json

import pytest

from scalr.foundation.errors import SchemaError
from scalr.studies.choosing.races import Journal, Outcome, Trial, best_of, race


def examiner(losses, asked):
    """Return the loss of candidate {"x": place} with a seed from a table, and remember what was asked for."""

    def examine(changes, seed):
        asked.append((changes["x"], seed))
        return Outcome(losses[changes["x"]][seed], None, 3, 0.0)

    return examine


CANDIDATES = [{"x": place} for place in range(9)]


@pytest.mark.parametrize("threads", [1, 3])
def test_a_third_goes_on_and_the_lowest_mean_wins(threads):
    losses = [[0.9, 0.1, 0.1], *([0.5 + place / 100, 0.5, 0.9 - place / 10] for place in range(8))]
    asked = []
    trials = race(CANDIDATES, 3, examiner(losses, asked), threads)
    assert sorted(x for x, seed in asked if seed == 0) == list(range(9))
    assert sorted(x for x, seed in asked if seed == 1) == [1, 2, 3]
    assert sorted(x for x, seed in asked if seed == 2) == [1, 2]  # two at least, so that there is a comparison
    assert [trial.changes["x"] for trial in trials[:3]] == [2, 1, 3]
    assert trials[0].loss == pytest.approx((0.51 + 0.5 + 0.8) / 3)


def test_the_first_candidate_wins_ties():
    trials = race(CANDIDATES, 2, examiner([[0.5, 0.5]] * 9, []), 1)
    assert trials[0].changes == {"x": 0}


def test_what_diverges_loses_and_is_remembered_as_such(tmp_path):
    losses = [[float("inf")] * 2, [0.7, 0.7]]
    trials = race(CANDIDATES[:2], 2, examiner(losses, []), 1)
    assert trials[0].changes == {"x": 1}
    assert trials[1].to_json()["loss"] == [None, None]
    for _ in range(2):
        outcome = Journal(tmp_path / "trials.jsonl").outcome({"seed": 1}, lambda: (float("inf"), None, 0))
        assert outcome.loss == float("inf")
    assert json.loads((tmp_path / "trials.jsonl").read_text())["loss"] is None


def test_a_journal_answers_what_it_knows(tmp_path):
    file, runs = tmp_path / "trials.jsonl", []

    def run():
        runs.append(1)
        return 0.25, 0.01, 7

    for _ in range(2):  # a second process finds what the first one wrote
        journal = Journal(file)
        for _ in range(2):
            outcome = journal.outcome({"seed": 1, "settings": {"a": 2.0}}, run)
            assert (outcome.loss, outcome.ndcg, outcome.epochs) == (0.25, 0.01, 7)
    assert len(runs) == 1
    Journal(file).outcome({"seed": 2, "settings": {"a": 2.0}}, run)
    assert len(runs) == 2


def test_a_line_that_was_cut_off_is_tried_again_and_not_in_the_way(tmp_path):
    file = tmp_path / "trials.jsonl"
    Journal(file).outcome({"seed": 1}, lambda: (0.5, 0.1, 1))
    Journal(file).outcome({"seed": 2}, lambda: (0.6, 0.1, 2))
    file.write_text(file.read_text()[:-20])
    assert Journal(file).outcome({"seed": 1}, lambda: (9.0, 0.9, 9)).loss == 0.5
    assert Journal(file).outcome({"seed": 2}, lambda: (0.7, 0.1, 2)).loss == 0.7
    assert Journal(file).outcome({"seed": 2}, lambda: (9.0, 0.9, 9)).loss == 0.7


@pytest.mark.parametrize("text", ["no json\n", '{"key": "a"}\n', json.dumps([1]) + "\n{}\n"])
def test_another_file_is_refused_by_line(tmp_path, text):
    file = tmp_path / "other.txt"
    file.write_text(text)
    with pytest.raises(SchemaError, match="line 1 of"):
        Journal(file)
    assert file.read_text() == text


def trial(name, losses, ranks):
    return Trial({"x": name}, tuple(Outcome(*pair, 1, 0.0) for pair in zip(losses, ranks, strict=True)))


@pytest.mark.parametrize(
    ("ranks", "best"),
    [
        ((0.10, 0.11, 0.50), "b"),  # b is equal by loss and ranks better; c ranks best, but its loss is higher
        ((0.11, 0.10, 0.50), "a"),
        ((0.10, 0.10, 0.50), "a"),  # the lower loss wins ties
        ((None, 0.11, 0.50), "a"),  # what cannot be ranked is chosen by loss alone
    ],
)
def test_between_settings_of_equal_loss_ranking_decides(ranks, best):
    losses = {"c": (0.91, 0.90), "b": (0.8004, 0.8006), "a": (0.80, 0.80)}
    trials = [trial(name, losses[name], (rank, rank)) for name, rank in zip("abc", ranks, strict=True)]
    assert best_of(trials[::-1], 0.001).changes == {"x": best}


@pytest.mark.parametrize(("ratio", "best"), [(1.0009, "b"), (1.0011, "a"), (1.005, "a")])
def test_losses_are_equal_up_to_the_tolerance_and_no_further(ratio, best):
    trials = [trial("a", (0.8, 0.8), (0.1, 0.1)), trial("b", (0.8 * ratio,) * 2, (0.5, 0.5))]
    assert best_of(trials, 0.001).changes == {"x": best}


def test_a_trial_ranks_by_its_mean_over_seeds_and_not_at_all_where_one_is_missing():
    assert trial("a", (0.8, 0.8), (0.1, 0.3)).ndcg == pytest.approx(0.2)
    assert trial("a", (0.8, 0.8), (0.1, None)).ndcg is None
