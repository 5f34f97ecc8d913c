"""The demo's video: where its cuts are, and which of them a worker has found."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from worker.wire import FrameValueMessage

VIDEO: Final = "bikes"
FRAMES: Final = 250
"""Frames of a round, which is the whole video; 25 in a second."""
CUTS: Final = (29, 75, 136, 186, 241)
"""The video's own cuts: a new shot begins after each of these frames, counted from 0."""
_PLACES: Final = frozenset((*CUTS, FRAMES - 1))


def expected_cuts(frames: int) -> list[int]:
    """Return the frames after which there is a cut, of so many frames of the repeated video.

    From one round to the next there is a cut too. TransNetV2 finds it as surely as the others, wherever its input
    begins: its value is 0.94 or more there, 0.78 or more at the other cuts, and 0.03 at most at all other frames.
    """
    return [number for number in range(frames - 1) if number % FRAMES in _PLACES]


def frame_id(camera: str, number: int) -> str:
    """Return the id of a camera's frame; the first has number 0."""
    return f"{camera}-{number:06}"


def number_of(frame: str) -> int:
    """Return the number in an id that `frame_id` made."""
    return int(frame.rpartition("-")[2])


@dataclass(slots=True)
class VideoRow:
    """What has become of the video's frames so far.

    Attributes:
        values: number of values of each frame.
        found: the value of each frame after which a cut was found, the newest last.
    """

    sent: int = 0
    dead_letters: int = 0
    values: Counter[int] = field(default_factory=Counter)
    found: dict[int, float] = field(default_factory=dict)

    def valued(self, message: FrameValueMessage) -> None:
        """Record the value of a frame."""
        number = number_of(message.frame.id)
        self.values[number] += 1
        if message.event:
            self.found[number] = message.value

    @property
    def lag(self) -> int:
        """Frames sent whose outcome has not arrived."""
        return self.sent - len(self.values) - self.dead_letters

    @property
    def due(self) -> int:
        """Number of the expected cuts whose frame has its value."""
        return sum(number in self.values for number in expected_cuts(self.sent))


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSummary:
    """What became of the video's frames. All lists are of frame numbers, counted from 0.

    Attributes:
        values: number of values, a second value of a frame included.
        missing_cuts: a cut is expected after these, and none was found.
        extra_cuts: a cut was found after these, and none is expected.
    """

    frames_sent: int
    values: int
    missing_cuts: Sequence[int] = ()
    extra_cuts: Sequence[int] = ()
    frames_without_value: Sequence[int] = ()
    frames_with_several: Sequence[int] = ()

    def faults(self) -> list[str]:
        """Return a text for each kind of fault, with its frames."""
        texts = {
            "there should be a cut, but none was found, after frame": self.missing_cuts,
            "a cut was found, but there is none, after frame": self.extra_cuts,
            "there is no value for frame": self.frames_without_value,
            "there is more than one value for frame": self.frames_with_several,
        }
        faults = [f"{VIDEO}: {text} {_ranges(numbers)}" for text, numbers in texts.items() if numbers]
        return faults if self.frames_sent else [*faults, f"{VIDEO}: no frame was sent"]


def summarise_video(row: VideoRow) -> VideoSummary:
    """Compare what was found with what is known of the video."""
    expected, found = set(expected_cuts(row.sent)), set(row.found)
    return VideoSummary(
        frames_sent=row.sent,
        values=row.values.total(),
        missing_cuts=sorted(expected - found),
        extra_cuts=sorted(found - expected),
        frames_without_value=[number for number in range(row.sent) if number not in row.values],
        frames_with_several=sorted(number for number, times in row.values.items() if times > 1),
    )


def _ranges(numbers: Iterable[int]) -> str:
    """Write rising numbers, and those without a gap as a range: 1, 4 to 6."""
    known = list(numbers)
    breaks = [index for index, (one, two) in enumerate(pairwise(known), start=1) if two != one + 1]
    runs = [known[first:end] for first, end in pairwise([0, *breaks, len(known)])]
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)
