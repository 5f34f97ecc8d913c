"""What counts as the same answers: sums by hand."""

import pytest

from worker.tuning.agreement import Agreement, Answer, Bounds, compare, most_likely

REFERENCE = {
    "a": most_likely({3: 0.9, 1: 0.06}),
    "b": most_likely({1: 0.5, 3: 0.49}),
    "c": most_likely({2: 0.7, 0: 0.2}),
    "d": most_likely({0: 0.4, 1: 0.3}),
}


def test_the_same_answers_agree_wholly() -> None:
    assert compare(REFERENCE, dict(REFERENCE)) == Agreement(1.0, 0.0)


def test_a_near_tie_that_falls_the_other_way_is_no_agreement() -> None:
    found = {**REFERENCE, "b": most_likely({3: 0.5, 1: 0.49})}

    agreement = compare(REFERENCE, found)
    assert agreement.share == 0.75
    assert agreement.difference == pytest.approx(0.01)


def test_the_order_decides_and_not_the_number() -> None:
    assert compare(REFERENCE, {**REFERENCE, "b": most_likely({1: 0.5, 3: 0.5})}).share == 1.0


def test_of_several_classes_all_that_are_named_have_to_be_the_same() -> None:
    reference = {"a": Answer({1, 2}, {2: 0.9, 1: 0.6, 0: 0.1}), "b": Answer(frozenset(), {0: 0.4, 1: 0.3, 2: 0.2})}
    swapped = {**reference, "a": Answer({1, 2}, {1: 0.9, 2: 0.6, 0: 0.1})}
    fewer = {**reference, "a": Answer({2}, {2: 0.9, 1: 0.45, 0: 0.1})}

    assert compare(reference, swapped).share == 1.0
    assert compare(reference, fewer) == Agreement(0.5, pytest.approx(0.15))  # type: ignore[arg-type]


def test_a_class_that_is_no_longer_named_counts_as_nothing() -> None:
    agreement = compare(REFERENCE, {**REFERENCE, "c": most_likely({2: 0.7, 5: 0.2})})

    assert agreement == Agreement(1.0, 0.2)


def test_a_class_that_the_reference_does_not_name_is_not_looked_at() -> None:
    assert compare(REFERENCE, {**REFERENCE, "c": most_likely({2: 0.7, 0: 0.2, 5: 0.1})}) == Agreement(1.0, 0.0)


def test_a_frame_that_is_refused_differs_wholly() -> None:
    found = {name: answer for name, answer in REFERENCE.items() if name != "a"}

    assert compare(REFERENCE, found) == Agreement(0.75, 0.9)


def test_frames_that_the_reference_refused_are_not_looked_at() -> None:
    assert compare(REFERENCE, {**REFERENCE, "e": most_likely({9: 1.0})}) == Agreement(1.0, 0.0)


def test_nothing_cannot_be_agreed_with() -> None:
    with pytest.raises(ValueError, match="no answers"):
        compare({}, REFERENCE)


@pytest.mark.parametrize(
    ("agreement", "why_not"),
    [
        (Agreement(0.995, 0.05), None),
        (Agreement(0.99, 0.0), "the prediction is the same on 99.00% of the frames, not 99.50%"),
        (Agreement(1.0, 0.0501), "probabilities differ by up to 0.0501, more than 0.05"),
    ],
)
def test_bounds_are_kept_or_named(agreement: Agreement, why_not: str | None) -> None:
    assert Bounds().why_not(agreement) == why_not
