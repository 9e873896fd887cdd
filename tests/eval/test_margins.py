import numpy as np
import pytest

from visavis.eval import margins, perceptual


def gathered(shift: float, persons: int = 24, seed: int = 0) -> margins.Gathered:
    """Two systems on persons who differ much more than the systems do."""
    rng = np.random.default_rng(seed)
    out = margins.Gathered()
    for person in range(persons):
        level = rng.normal(1.0, 0.5)
        for _ in range(rng.integers(1, 6)):
            out.add("error", "old", str(person), level + rng.normal(0, 0.01))
            out.add("error", "new", str(person), level + shift + rng.normal(0, 0.01))
    return out


def test_a_small_sure_difference_is_found_though_persons_differ() -> None:
    row = gathered(-0.03).rows()["error"]
    assert row.values["old"][1] > 0.1
    change, margin = row.apart["new"]
    assert change == pytest.approx(-0.03, abs=0.01)
    assert margin < 0.01
    assert row.verdict("new") == "better"
    assert row.best == "new"
    assert "*" in row.line("error")


def test_more_can_be_better_and_references_are_no_candidates() -> None:
    found = gathered(-0.03)
    row = found.rows(frozenset({"error"}))["error"]
    assert row.verdict("new") == "worse"
    assert row.best == ""
    row = found.rows(references=("new",))["error"]
    assert row.verdict("new") == ""
    assert row.best == ""
    assert "verdict" not in row.plain()["new"]


def test_chance_is_seldom_taken_for_a_difference() -> None:
    verdicts = [gathered(0.0, seed=i).rows()["error"].verdict("new") for i in range(40)]
    assert verdicts.count("same") >= 34


def test_the_margin_of_a_mean_is_the_known_one() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(0, 1, 200)
    row = margins.means({"one": {str(i): [v] for i, v in enumerate(values)}})
    known = 1.96 * values.std() / np.sqrt(len(values))
    assert row.values["one"] == (pytest.approx(values.mean()), pytest.approx(known, rel=0.2))


def test_persons_count_once_and_few_give_no_margin() -> None:
    row = margins.means({"a": {"x": [1.0], "y": [3.0, 3.0, 3.0]}, "b": {"x": [1.0], "y": [1.0]}})
    assert row.values["a"][0] == 2.0
    assert np.isnan(row.values["a"][1])
    assert row.verdict("b") == "same"


def test_sets_are_compared_person_by_person() -> None:
    rng = np.random.default_rng(4)
    centres = rng.normal(0, 1, (16, 1, 8))
    true = list(centres + rng.normal(0, 0.2, (16, 3, 8)))
    made = {
        "near": list(centres + rng.normal(0, 0.2, (16, 3, 8))),
        "far": list(centres + 1.5 + rng.normal(0, 0.2, (16, 3, 8))),
    }
    row = margins.of_sets(perceptual.kid, made, true)
    assert abs(row.values["near"][0]) < 0.2 * row.values["far"][0]
    assert row.verdict("far") == "worse"
    assert row.plain()["far"]["verdict"] == "worse"
