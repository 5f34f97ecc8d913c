"""Cameras apart from each other: silence, memory, and what a partition still needs."""

from concurrent.futures import Future

from tests.support.frames import a_frame
from worker.domain.samples import Picture, Sample, Skipped
from worker.domain.times import Monotonic
from worker.sampling.by_camera import FORGOTTEN_AFTER, OUT_OF_MEMORY, UNHEARD, ByCamera
from worker.sampling.clips import ClipRules, ClipTrack

IDLE = 5.0
PICTURE = 1_000


def a_sampler(*, lateness: int = 0, stride: int = 2) -> ByCamera:
    rules = ClipRules(frames=4, rate=10.0, stride=stride, gap="repeat", least=1, label="last")
    prepared = Future[Picture]()
    return ByCamera(lambda: ClipTrack(rules, lambda _: prepared), lateness=lateness, idle=IDLE, picture_bytes=PICTURE)


def take(sampler: ByCamera, offset: int, slot: int, camera: str = "cam-1", *, now: float = 0.0) -> int:
    """Return how many samples and skipped frames there are."""
    return len(sampler.take(a_frame(offset, captured_at=slot * 100, camera=camera), Monotonic(now)))


def test_the_oldest_frame_of_any_open_clip_is_needed() -> None:
    sampler = a_sampler()
    assert sampler.oldest_needed() is None
    take(sampler, 10, 8)
    take(sampler, 11, 8, "cam-2")
    take(sampler, 12, 9)
    assert sampler.oldest_needed() == 10
    for offset, slot in ((13, 10), (14, 11), (15, 12)):
        take(sampler, offset, slot)
    # Clips that begin with slot 10 are open; what is in it came while offset 12 was the newest.
    assert sampler.oldest_needed() == 11
    sampler.drain()
    assert sampler.oldest_needed() is None


def test_a_frame_that_waits_for_earlier_ones_is_needed_with_the_newest_that_it_met() -> None:
    sampler = a_sampler(lateness=1_000)
    take(sampler, 10, 20)
    take(sampler, 11, 12)
    assert sampler.oldest_needed() == 10


def test_the_frame_that_fills_the_newest_slot_is_needed_although_its_clips_are_made() -> None:
    sampler = a_sampler(stride=4)
    for offset, slot in enumerate((8, 9, 10, 11)):
        take(sampler, offset, slot)
    assert sampler.held_bytes == 0
    assert sampler.oldest_needed() == 2  # the newest when offset 3 came; without it that might be judged otherwise


def test_a_silent_camera_is_finished_and_later_forgotten() -> None:
    sampler = a_sampler()
    take(sampler, 0, 8, now=1.0)
    take(sampler, 1, 8, "cam-2", now=4.0)
    assert sampler.pass_time(Monotonic(IDLE)) == []
    (clip,) = sampler.pass_time(Monotonic(1.0 + IDLE))
    assert isinstance(clip, Sample)
    assert clip.newest.frame.camera == "cam-1"
    assert (len(sampler), sampler.oldest_needed()) == (2, 1)

    sampler.pass_time(Monotonic(1.0 + FORGOTTEN_AFTER * IDLE))
    assert len(sampler) == 1


def test_of_a_thousand_cameras_nothing_remains_of_those_that_fell_silent() -> None:
    sampler, speaking = a_sampler(), [f"cam-{number}" for number in range(900, 1000)]
    for number in range(1000):
        take(sampler, number, 8, f"cam-{number}", now=0.0)
    assert sampler.held_bytes == 1000 * PICTURE
    for second in range(1, int(FORGOTTEN_AFTER * IDLE) + 2):
        for camera in speaking:
            take(sampler, 1000 + second, 8 + 10 * second, camera, now=float(second))
        sampler.pass_time(Monotonic(float(second)))
    assert len(sampler) == len(speaking)
    assert sampler.held_bytes <= len(speaking) * 4 * PICTURE
    assert sampler.oldest_needed() is not None
    assert sampler.oldest_needed() > 1000  # type: ignore[operator]


def test_in_a_backlog_a_camera_is_silent_once_it_is_missing_among_many_frames() -> None:
    sampler = a_sampler()
    take(sampler, 0, 8, "gone")
    for offset in range(1, UNHEARD + 1):
        take(sampler, offset, 8 + offset, "here")
    assert sampler.oldest_needed() == 0
    frame = a_frame(UNHEARD + 1, captured_at=100 * (UNHEARD + 9), camera="here")
    finished = [each for each in sampler.take(frame, Monotonic(0.0)) if isinstance(each, Sample)]
    assert "gone" in {each.newest.frame.camera for each in finished}
    assert (sampler.oldest_needed() or 0) > UNHEARD // 2


def test_memory_is_taken_from_the_camera_heard_longest_ago() -> None:
    sampler = a_sampler()
    take(sampler, 0, 8, "cam-1")
    take(sampler, 1, 8, "cam-2")
    take(sampler, 2, 9, "cam-1")
    relieved = sampler.relieve()
    assert relieved is not None
    assert [(each.camera, each.reason) for each in relieved if isinstance(each, Skipped)] == [("cam-2", OUT_OF_MEMORY)]
    assert sampler.held_bytes == 2 * PICTURE
    assert sampler.relieve() is not None
    assert (sampler.relieve(), sampler.held_bytes) == (None, 0)


def test_a_camera_that_speaks_again_needs_only_what_came_since() -> None:
    sampler = a_sampler()
    take(sampler, 0, 8, now=0.0)
    sampler.pass_time(Monotonic(IDLE))
    assert sampler.oldest_needed() is None
    take(sampler, 50, 40, now=IDLE + 1)
    assert sampler.oldest_needed() == 50
