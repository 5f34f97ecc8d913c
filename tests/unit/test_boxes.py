import pytest

from worker.domain.boxes import Box, TrueBox, overlap, read_boxes, write_boxes


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (Box(0, 0, 4, 2), 1.0),
        (Box(2, 0, 6, 2), 1 / 3),
        (Box(4, 0, 8, 2), 0.0),
        (Box(1, 0.5, 2, 1.5), 1 / 8),
        (Box(1, 1, 1, 1), 0.0),
    ],
)
def test_overlap_is_intersection_over_union(other: Box, expected: float) -> None:
    assert overlap(Box(0, 0, 4, 2), other) == overlap(other, Box(0, 0, 4, 2)) == pytest.approx(expected)


def test_two_boxes_without_an_inside_do_not_overlap() -> None:
    assert overlap(Box(1, 1, 1, 1), Box(1, 1, 1, 1)) == 0


def test_boxes_are_read_as_they_were_written() -> None:
    boxes = (TrueBox('a "cup"\N{CAT FACE}', Box(0.5, 1, 2, 3.25)), TrueBox("b", Box(-1, 0, 1, 1)))
    assert read_boxes(write_boxes(boxes)) == boxes
    assert read_boxes(b"[]") == ()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "must be a JSON list"),
        ("[" * 100_000, "must be a JSON list"),
        (b"\xff", "must be a JSON list"),
        ('{"label": "a", "box": [0, 0, 1, 1]}', "must be a JSON list"),
        ('[{"label": "a", "box": [0, 0, 1, 1]}, ["a", 0, 0, 1, 1]]', "box 2: it must be"),
        ('[{"label": "a", "box": [0, 0, 1]}]', "box 1: it must be"),
        ('[{"label": "", "box": [0, 0, 1, 1]}]', "box 1: it must be"),
        ('[{"label": "a", "box": [0, 0, 1, true]}]', "box 1: it must be"),
        ('[{"label": "a", "box": [0, 0, 1, 1], "score": 1}]', "box 1: it must be"),
        ('[{"label": "a", "box": [0, 0, 0, 1]}]', "right must be above left"),
        ('[{"label": "a", "box": [0, 2, 1, 1]}]', "bottom above top"),
        ('[{"label": "a", "box": [0, 0, NaN, 1]}]', "right must be above left"),
        ('[{"label": "a", "box": [0, 0, 1e999, 1]}]', "right must be above left"),
    ],
)
def test_what_is_no_list_of_boxes(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        read_boxes(text)
