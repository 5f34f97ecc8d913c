"""The small parts of training: schedule, early stop, balance, figures, intervals, augmentation."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from worker.domain.intervals import grouped, wilson
from worker.domain.preprocessing import Preprocessing
from worker.training.augment import detection_transform, picture_transform, with_margin
from worker.training.balance import class_weights, sample_weights
from worker.training.boxes import Seen, box_figures, match_boxes
from worker.training.metrics import Answer, figures_of, share_of
from worker.training.options import Augment, Options, ScheduleName, differences, faults_of, recorded
from worker.training.schedule import make_optimizer, make_schedule
from worker.training.stopping import Best, better_of, is_over

NUMBERS = Preprocessing(resize=256, crop=224, interpolation="bilinear", antialias=True, mean=(0,) * 3, std=(1,) * 3)


def rates(name: ScheduleName, *, steps: int, warmup: int) -> list[float]:
    optimizer = make_optimizer("sgd", [nn.Parameter(torch.zeros(1))], learning_rate=1.0, weight_decay=None)
    schedule = make_schedule(name, optimizer, steps=steps, warmup=warmup)
    found = []
    for _ in range(steps):
        found.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        schedule.step()
    return found


def test_the_rate_rises_and_then_falls_to_nothing() -> None:
    found = rates("cosine", steps=20, warmup=4)

    assert found[0] == pytest.approx(0.01)
    assert found[4] == max(found) == pytest.approx(1)
    assert found[4:] == sorted(found[4:], reverse=True)
    assert found[-1] < 0.02


def test_a_step_schedule_falls_to_a_tenth_at_each_third() -> None:
    assert rates("step", steps=6, warmup=0) == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_a_constant_schedule_stays() -> None:
    assert rates("constant", steps=4, warmup=1) == pytest.approx([0.01, 1, 1, 1])


def test_only_what_is_trained_is_given_to_the_optimizer() -> None:
    frozen, trained = nn.Parameter(torch.zeros(1), requires_grad=False), nn.Parameter(torch.zeros(1))
    (group,) = make_optimizer("adamw", [frozen, trained], learning_rate=None, weight_decay=None).param_groups

    assert group["params"] == [trained]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=20), st.integers(1, 5))
def test_training_ends_when_no_better_epoch_came_for_long_enough(found: list[tuple[int, int]], patience: int) -> None:
    best = Best()
    for epoch, (score, loss) in enumerate(found, start=1):
        best = better_of(best, Best(epoch, score, loss))
        ranked = max(range(epoch), key=lambda each: (found[each][0], -found[each][1], -each))
        assert best.epoch == ranked + 1
        assert is_over(best, epoch, patience) == (epoch - best.epoch >= patience)
        assert not is_over(best, epoch, None)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30))
def test_all_classes_weigh_the_same_together(classes: list[int]) -> None:
    weights = class_weights(classes, 5)
    total = {each: weights[each] * classes.count(each) for each in set(classes)}
    drawn = sample_weights([[each] for each in classes])

    assert len({round(each, 9) for each in total.values()}) == 1
    assert sum(weights) / len(total) == pytest.approx(1)
    assert sum(drawn) == pytest.approx(len(total))


@given(st.integers(0, 60), st.integers(0, 60))
def test_an_interval_holds_the_share_and_narrows(right: int, wrong: int) -> None:
    total = right + wrong
    low, high = wilson(right, total)

    assert 0 <= low <= (right / total if total else 0.5) <= high <= 1
    if total:
        wide = high - low
        low, high = wilson(10 * right, 10 * total)
        assert high - low < wide


def test_wilsons_interval_is_that_of_the_literature() -> None:
    # Newcombe 1998, example "15/148".
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)


def test_frames_of_few_cameras_have_no_interval_and_those_of_many_a_wider_one() -> None:
    assert grouped([9, 1], [10, 10]) is None
    found = grouped([10, 0] * 5, [10, 10] * 5)
    assert found is not None
    low, high = wilson(50, 100)
    assert found[1] - found[0] > 1.5 * (high - low)


def test_single_pictures_are_counted_by_themselves_and_frames_by_camera() -> None:
    alone = share_of([True, False, True], ["a", "b", "c"])
    assert (alone.interval, alone.by_group) == (wilson(2, 3), False)
    assert share_of([True, True], ["a", "a"]).by_group
    assert str(share_of([True] * 4, ["a"] * 4)) == "100.0% (4 of 4), no interval: 1 cameras are fewer than 5"
    assert str(alone).startswith("66.7% (2 of 3), 20.8% to 93.9%")


def test_figures_count_each_class() -> None:
    answers = [Answer(str(n), truth, found) for n, (truth, found) in enumerate([(0, 0), (0, 1), (1, 1), (1, 1)])]

    figures = figures_of(answers, ["cat", "dog", "cow"])

    assert figures.confusion == ((1, 1, 0), (0, 2, 0), (0, 0, 0))
    assert figures.accuracy.value == 0.75
    assert [(each.recall.value, each.precision.value) for each in figures.classes] == [(0.5, 1), (1, 2 / 3), (0, 0)]


def seen(boxes: list[tuple[list[float], int, float]], true: list[tuple[list[float], int]]) -> Seen:
    return Seen(
        "door",
        torch.tensor([box for box, _, _ in boxes]).reshape(-1, 4),
        torch.tensor([label for _, label, _ in boxes], dtype=torch.int64),
        torch.tensor([score for _, _, score in boxes]),
        torch.tensor([box for box, _ in true]).reshape(-1, 4),
        torch.tensor([label for _, label in true], dtype=torch.int64),
    )


def test_a_true_box_is_found_once_by_the_surest_of_its_class() -> None:
    box, near, far = [0.0, 0, 10, 10], [0.0, 0, 10, 9], [20.0, 20, 30, 30]
    found = seen([(near, 1, 0.6), (box, 1, 0.9), (box, 2, 0.8), (far, 1, 0.4)], [(box, 1), (far, 1)])

    assert match_boxes(found, 0.5) == ([False, True, False], [True, False])
    assert match_boxes(found, 0.3) == ([False, True, False, True], [True, True])


def test_a_detector_that_is_right_has_the_highest_figures() -> None:
    boxes = [([0.0, 0, 10, 10], 1, 0.8), ([5.0, 5, 25, 25], 2, 0.8)]
    right = seen(boxes, [(box, label) for box, label, _ in boxes])

    figures = box_figures([right, seen([], [])], ["__background__", "cup", "cat"], threshold=0.5)

    assert (figures.precision.value, figures.recall.value) == (1, 1)
    assert (figures.map_50, figures.map) == pytest.approx((1, 1))
    assert [each.total for _, each, _ in figures.by_threshold] == [2, 2, 2, 2, 0]
    assert [name for name, _, _ in figures.by_class] == ["cup", "cat"]


def test_a_detector_of_nothing_has_none() -> None:
    figures = box_figures([seen([], [([0.0, 0, 10, 10], 1)])], ["__background__", "cup"], threshold=0.5)

    assert (figures.recall.value, figures.map_50) == (0, 0)


def test_pictures_to_crop_from_have_a_margin() -> None:
    assert with_margin(NUMBERS, "light").crop == 256
    assert with_margin(NUMBERS, "none") == NUMBERS
    assert with_margin(replace(NUMBERS, resize=(128, 171), crop=112), "light").crop == (128, 171)


@pytest.mark.parametrize("augment", ["none", "light", "strong"])
@pytest.mark.parametrize("flip", [False, True])
def test_all_frames_of_a_clip_are_changed_alike(augment: Augment, flip: bool) -> None:  # noqa: FBT001
    picture = torch.randint(0, 256, (3, 40, 40), dtype=torch.uint8)
    changed = picture_transform(augment, (32, 24), flip=flip)(picture.expand(5, 3, 40, 40).contiguous())

    assert changed.shape == (5, 3, 32, 24)
    assert all(torch.equal(each, changed[0]) for each in changed)


@pytest.mark.parametrize("augment", ["none", "light", "strong"])
def test_boxes_stay_around_their_objects(augment: Augment) -> None:
    picture = torch.zeros(3, 60, 80, dtype=torch.uint8)
    picture[:, 20:40, 30:60] = 255
    change = detection_transform(augment, (60, 80), flip=True)
    torch.manual_seed(0)
    for _ in range(20):
        changed, boxes, labels = change(picture, torch.tensor([[30.0, 20, 60, 40]]), torch.tensor([1]))
        assert changed.shape == picture.shape
        assert len(boxes) == len(labels)
        for left, top, right, bottom in boxes.round().int().tolist():
            bright = changed[:, top:bottom, left:right].float().mean() - changed.float().mean()
            assert bright > 0


def test_a_mirrored_box_is_mirrored() -> None:
    change = detection_transform("none", (60, 80), flip=True)
    picture, box, label = torch.zeros(3, 60, 80, dtype=torch.uint8), torch.tensor([[0.0, 0, 10, 20]]), torch.tensor([1])
    found = {tuple(change(picture, box, label)[1][0].tolist()) for _ in range(30)}

    assert found == {(0, 0, 10, 20), (70, 0, 80, 20)}


def test_choices_that_contradict_each_other_are_told_at_once() -> None:
    wrong = Options(task="detect", model="cnn_rnn", weights="none", balance="weights", amp="fp16", frames=3)

    assert [each.partition(" ")[0] for each in faults_of(wrong)] == [
        "--layers",
        "--backbone",
        "--amp",
        "--balance",
        "--frames,",
    ]
    assert list(faults_of(Options(task="classify", model="resnet18"))) == []


def test_recorded_options_tell_what_changed() -> None:
    one, other = Options(task="classify", model="a", workers=1), Options(task="classify", model="b", workers=2, seed=7)

    assert differences(recorded(one), recorded(other)) == ["model was a and is b", "seed was 0 and is 7"]
