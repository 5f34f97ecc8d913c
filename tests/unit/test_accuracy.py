from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.support.frames import FRAMES, MODEL, a_frame, a_prediction
from worker.domain.results import BoxVerdict, HitCounts, ModelIdentity, Prediction, Verdict
from worker.domain.tallies import Tally, TallyKey
from worker.domain.times import EventMillis
from worker.state.accuracy import RunningAccuracy

RIGHT = Verdict(top1=True, top5=True)
NEAR = Verdict(top1=False, top5=True)
WRONG = Verdict(top1=False, top5=False)
KEY = TallyKey(FRAMES, "cam-1", MODEL)


def predictions(
    *verdicts: Verdict | BoxVerdict | None, first_offset: int = 0, camera: str = "cam-1"
) -> list[Prediction]:
    return [
        a_prediction(a_frame(offset, camera=camera, captured_at=1_000 + offset), verdict)
        for offset, verdict in enumerate(verdicts, start=first_offset)
    ]


def staged_by(accuracy: RunningAccuracy, outcomes: Sequence[Prediction]) -> list[Tally]:
    staged = accuracy.stage(outcomes, committed=0)
    assert staged.outcomes is outcomes
    return [each for each in staged.saved if isinstance(each, Tally)]


def test_counts_and_ratios() -> None:
    (tally,) = staged_by(RunningAccuracy(), predictions(RIGHT, None, NEAR, WRONG, RIGHT))

    assert tally == Tally(KEY, EventMillis(1_000), seen=5, labelled=4, correct_top1=2, correct_top5=3, next_offset=5)
    assert (tally.top1, tally.top5) == (0.5, 0.75)


def test_without_labels_there_is_no_ratio() -> None:
    (tally,) = staged_by(RunningAccuracy(), predictions(None, None))

    assert (tally.seen, tally.top1, tally.top5) == (2, None, None)


def test_nothing_counts_before_it_is_settled() -> None:
    accuracy = RunningAccuracy()
    staged = staged_by(accuracy, predictions(RIGHT))
    assert accuracy.get(KEY) is None

    accuracy.settle(staged)
    assert accuracy.get(KEY) == staged[0]


def test_a_frame_that_was_counted_before_a_crash_is_not_counted_again() -> None:
    before = RunningAccuracy()
    published = staged_by(before, predictions(RIGHT, WRONG, RIGHT))
    after = RunningAccuracy()
    after.restore(published)

    (tally,) = staged_by(after, predictions(RIGHT, WRONG, RIGHT, NEAR))
    assert (tally.seen, tally.correct_top1, tally.next_offset) == (4, 2, 4)
    assert staged_by(after, predictions(RIGHT, WRONG)) == []


def test_of_two_published_tallies_the_one_that_includes_more_is_restored() -> None:
    more, less = (Tally(KEY, EventMillis(0), seen=n, next_offset=n) for n in (9, 4))
    accuracy = RunningAccuracy()
    accuracy.restore([more, less])

    assert accuracy.get(KEY) == more


def test_cameras_models_and_partitions_are_counted_apart() -> None:
    accuracy, other_model = RunningAccuracy(), ModelIdentity("tiny", "ba9876543210")
    frames = [a_frame(0), a_frame(1, camera="cam-2"), a_frame(2)]
    right = [a_prediction(f, RIGHT) for f in [*frames, a_frame(0, partition=1)]]
    staged = staged_by(accuracy, right)
    staged += staged_by(accuracy, [a_prediction(a_frame(3), WRONG, model=other_model)])
    accuracy.settle(staged)

    assert {(t.key.partition.partition, t.key.camera, t.key.model.version): t.seen for t in accuracy.tallies()} == {
        (0, "cam-1", "0123456789ab"): 2,
        (0, "cam-2", "0123456789ab"): 1,
        (1, "cam-1", "0123456789ab"): 1,
        (0, "cam-1", "ba9876543210"): 1,
    }


@given(
    st.lists(st.sampled_from([RIGHT, NEAR, WRONG, None]), max_size=60),
    st.lists(st.integers(1, 9), min_size=1),
    st.integers(0, 20),
)
def test_against_numpy_over_the_whole_history(verdicts: list[Verdict | None], steps: list[int], replayed: int) -> None:
    """Deliver in steps of any size, crash after each, and read some frames again."""
    history, published, done, step = predictions(*verdicts), list[Tally](), 0, 0
    while done < len(history):
        accuracy = RunningAccuracy()
        accuracy.restore(published)
        upto = min(len(history), done + steps[step % len(steps)])
        published += staged_by(accuracy, history[max(0, done - replayed) : upto])
        done, step = upto, step + 1

    final = RunningAccuracy()
    final.restore(published)
    tally = final.get(KEY)
    labelled = [v for v in verdicts if v is not None]
    if tally is None:
        assert not verdicts
    else:
        assert (tally.seen, tally.labelled) == (len(verdicts), len(labelled))
        assert tally.correct_top1 == np.sum([v.top1 for v in labelled])
        assert tally.correct_top5 == np.sum([v.top5 for v in labelled])


def test_boxes_add_up_and_have_no_top1() -> None:
    verdicts = (BoxVerdict(HitCounts(2, 1, 0)), None, BoxVerdict(HitCounts(1, 0, 3), ("zebra",)))
    accuracy = RunningAccuracy()
    accuracy.settle(accuracy.stage(predictions(*verdicts), committed=0).saved)
    (tally,) = accuracy.stage(predictions(BoxVerdict(HitCounts(0, 1, 0)), first_offset=3), committed=0).saved

    assert isinstance(tally, Tally)
    assert (tally.seen, tally.labelled, tally.boxes) == (4, 3, HitCounts(3, 2, 3))
    assert (tally.top1, tally.top5) == (None, None)
    assert (HitCounts(3, 2, 3).precision, HitCounts(3, 2, 3).recall) == (0.5, 0.6)
    assert (HitCounts().precision, HitCounts().recall) == (None, None)
