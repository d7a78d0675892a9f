from edge_agent.worker.quality.class_coverage import class_unseen, one_class


def test_sets_of_one_class_are_told_of_together_and_the_class_is_named() -> None:
    (found,) = one_class({"calibration": {3: 300}, "search": {3: 150}}, rows=True)

    assert found.code == "one_class"
    assert not found.refuse
    assert found.message.startswith("all 300 calibration and all 150 search windows are class 3 (float's answer)")
    assert "the search cannot tell whether int8 keeps the others" in found.message
    assert "--calibration" in found.message


def test_only_the_set_that_has_one_class_is_named() -> None:
    (found,) = one_class({"calibration": {0: 200, 1: 100}, "search": {0: 150}}, rows=False)

    assert found.message.startswith("all 150 search windows are class 0")
    assert "ranges" not in found.message
    assert "[recipe]" in found.message


def test_sets_of_several_classes_or_of_unknown_ones_are_not_told_of() -> None:
    assert one_class({"calibration": {0: 1, 1: 1}, "search": {0: 1, 1: 1}}, rows=True) == []
    assert one_class({}, rows=True) == []


def test_classes_in_the_heldout_set_alone_are_told_of_the_commonest_first() -> None:
    known = {"calibration": {0: 300}, "search": {0: 149, 1: 1}}

    (found,) = class_unseen(known, {0: 770, 1: 5, 2: 10, 3: 15}, 800, rows=True)  # type: ignore[arg-type]  # literals

    assert found.code == "class_unseen"
    assert not found.refuse
    assert found.message.startswith("of 800 held-out windows float gives class 3 in 15, class 2 in 10, but in no")
    assert "class 1" not in found.message


def test_nothing_is_told_where_nothing_is_new_or_nothing_known() -> None:
    assert class_unseen({"calibration": {0: 3}, "search": {1: 3}}, {0: 1, 1: 1}, 2, rows=True) == []
    assert class_unseen({}, {0: 1, 1: 1}, 2, rows=True) == [], "as after an older agent's calibration"


def test_one_window_is_told_of_as_one() -> None:
    (found,) = one_class({"search": {2: 1}}, rows=False)

    assert found.message.startswith("the one search window is class 2 (float's answer): the search cannot tell")
