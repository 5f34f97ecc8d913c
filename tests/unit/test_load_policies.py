"""Which samples are left out under too much load. `tests/flow/test_overload.py` shows what that does to a worker."""

from collections.abc import Sequence

from tests.support.frames import a_sample
from worker.domain.samples import ClipPlan, Sample, Skipped
from worker.domain.times import EventMillis
from worker.ports import Load
from worker.sampling.load import PLANNED, EveryNth, LatestPerCamera, SkipOlderThan

IDLE, BUSY = Load(room=10, in_process=0.0), Load(room=0, in_process=0.0)


def told(admitted: Sequence[Sample | Skipped]) -> list[str]:
    """Return the frames as `1` if they are taken, `-1` if they are skipped."""
    return [
        f"-{each.position.offset}" if isinstance(each, Skipped) else str(each.newest.frame.position.offset)
        for each in admitted
    ]


def test_a_sample_is_too_old_if_its_result_would_be() -> None:
    policy = SkipOlderThan(1.0)
    (sample,) = [a_sample(1)]  # it arrives 5 ms after it was captured
    in_time = PLANNED * 1.0 - 0.005
    assert told(policy.admit([sample], Load(room=10, in_process=in_time))) == ["1"]
    assert told(policy.admit([sample], Load(room=10, in_process=in_time + 0.001))) == ["-1"]


def test_a_sample_that_has_waited_is_reconsidered() -> None:
    policy, sample = SkipOlderThan(1.0), a_sample(1, captured_at=1_000)
    assert told(policy.reconsider(sample, EventMillis(1_500), 0.2)) == []
    assert told(policy.reconsider(sample, EventMillis(1_500), 0.5)) == ["-1"]


def test_cameras_take_turns_once_there_is_no_room() -> None:
    policy = SkipOlderThan(100.0)
    four_of_each = [a_sample(number, camera="abcd"[number // 4]) for number in range(16)]
    assert len(told(policy.admit(four_of_each, IDLE))) == 16
    policy.admit([a_sample(20 + number, camera="abcd"[number]) for number in range(4)], BUSY)
    served = [each.newest.frame.camera for each in policy.admit(four_of_each, BUSY) if isinstance(each, Sample)]
    assert served == ["a", "b", "c", "d"]


def test_while_there_is_no_room_only_the_newest_of_each_camera_waits() -> None:
    policy = LatestPerCamera()
    assert told(policy.admit([a_sample(1, camera="a"), a_sample(2, camera="b")], IDLE)) == ["1", "2"]
    assert told(policy.admit([a_sample(3, camera="a"), a_sample(4, camera="b")], BUSY)) == []
    assert told(policy.admit([a_sample(5, camera="a")], BUSY)) == ["-3"]
    assert told(policy.release(1)) == ["5"]
    assert told(policy.release(5)) == ["4"]
    assert told(policy.release(5)) == []


def test_a_camera_that_waits_is_not_overtaken_by_its_own_next_frame() -> None:
    policy = LatestPerCamera()
    policy.admit([a_sample(1, camera="a")], BUSY)
    assert told(policy.admit([a_sample(2, camera="a")], IDLE)) == ["-1"]
    assert told(policy.release(1)) == ["2"]


def test_no_more_are_taken_than_there_is_room_for() -> None:
    samples = [a_sample(number, camera=str(number)) for number in range(5)]
    assert told(LatestPerCamera().admit(samples, Load(room=3, in_process=0.0))) == ["0", "1", "2"]


def test_every_nth_of_each_camera() -> None:
    policy = EveryNth(3)
    samples = [a_sample(number, camera="ab"[number % 2]) for number in range(12)]
    found = told(policy.admit(samples, BUSY))
    assert [each for each in found if not each.startswith("-")] == ["0", "1", "6", "7"]
    assert len(found) == len(samples)
    assert told(policy.admit(samples[:2], IDLE)) == ["0", "1"]


def test_frames_that_a_clip_covers_are_left_out_with_it() -> None:
    first, last = a_sample(8).frames[0], a_sample(9).frames[0]
    plan = ClipPlan((0, 1), (1,), (first,), needs=8, gap="repeat", least=1, label="last")
    assert told(SkipOlderThan(0.0).admit([Sample((first, last), (last,), clip=plan)], IDLE)) == ["-8", "-9"]
