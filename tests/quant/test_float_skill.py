import numpy as np
import pytest

from edge_agent.quant.float_skill import FloatSkill

RANDOM = np.random.default_rng(0)


def test_the_commonest_label_is_counted_where_labels_are_words_or_numbers() -> None:
    for kind, labels in (("classes", [1, 2, 2]), ("binary", [[0, 1], [0, 1], [1, 1]]), ("sequence", ["a", "b", "a"])):
        skill = FloatSkill(kind)  # type: ignore[arg-type]  # words of the row
        for label in labels:
            skill.add(label, np.zeros(3))

        assert (skill.commonest, skill.worse) == (2, "")


@pytest.mark.parametrize(("turned", "worse"), [(False, False), (True, True)])
def test_scores_are_held_against_one_that_tells_nothing_apart(*, turned: bool, worse: bool) -> None:
    skill = FloatSkill("anomaly")
    strange = RANDOM.random(400) < 0.02
    for one, score in zip(strange, strange + RANDOM.normal(0, 0.5, 400), strict=True):
        skill.add(int(one) ^ turned, np.array([[score]]))

    assert bool(skill.worse) is worse
    assert skill.commonest is None
    if worse:
        assert "of all pairs, a constant answer would in 50 %" in skill.worse


def test_labels_of_one_side_tell_nothing_of_scores() -> None:
    skill = FloatSkill("anomaly")
    for score in RANDOM.normal(0, 1, 50):
        skill.add(0, np.array([score]))

    assert skill.worse == ""


@pytest.mark.parametrize(
    ("factor", "offset", "noise", "worse"),
    [(1, 0, 0.5, False), (1, 0, 2.0, True), (100, 500, 0, True), (1, 3, 0, True), (-1, 0, 0, True), (0, 7, 0, False)],
)
def test_estimates_are_held_against_the_mean_of_their_labels(
    factor: float, offset: float, noise: float, *, worse: bool
) -> None:
    skill = FloatSkill("regression")
    seen = RANDOM.normal(0, 1, (200, 3))
    labels = factor * seen + offset + RANDOM.normal(0, 1, (200, 3)) * noise
    said = seen + RANDOM.normal(0, 1, (200, 3)) * (noise > 1) * 2
    for label, output in zip(labels, said, strict=True):
        skill.add(label, output[None])

    assert bool(skill.worse) is worse
    if worse:
        off, apart = np.sqrt(np.mean((said - labels) ** 2)), np.sqrt(labels.var(axis=0).mean())
        assert skill.worse == f"float is {off:.4g} off the labels (RMS), their own mean would be {apart:.4g} off"


def test_a_detector_finds_some_of_its_labels() -> None:
    box, none = np.array([[0.0, 0.0, 9.0, 9.0, 1.0]]), np.array([[0.0, 0.0, 0.0, 0.0, -1.0]])
    skill = FloatSkill("detection")

    skill.add(none, np.zeros((4, 6)), {})
    assert skill.worse == ""  # there was nothing to find
    skill.add(box, np.zeros((4, 6)), {})
    assert skill.worse == "float finds none of the labelled boxes of 1 window"
    skill.add(box, np.zeros((4, 6)), {1: (1.0, 0.0)})
    assert skill.worse == ""
    assert skill.commonest is None
