"""`vision-worker render`: run the same pipeline on files, and draw what it says on every frame."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Final

import msgspec
import numpy as np
import typer
from numpy.typing import NDArray

from worker import wire
from worker.cli.offline import open_source
from worker.cli.options import AsJson, ConfigFile, ModelName
from worker.cli.progress import progress_bar
from worker.domain.errors import FrameRejected, SettingsError
from worker.domain.frames import CapturedFrame, EncodedFrame
from worker.domain.pictures import PictureRules
from worker.domain.records import OutboundRecord
from worker.domain.times import Monotonic
from worker.settings import Topics
from worker.views.facts import Outcome, Rejected, facts_of_frames

Pixels = NDArray[np.uint8]

PICTURES_PER_SECOND: Final = 25.0
EVENT_SECONDS: Final = 0.4
"""How long an event is shown: long enough to be seen while the video plays."""
VIDEO: Final = ".mp4"
OTHER_VIDEOS: Final = (".avi", ".mkv", ".mov", ".webm")
NO_PICTURE: Final = (640, 360)
"""(width, height) of what is drawn where no frame can be decoded."""


def render(
    source: Annotated[Path, typer.Argument(exists=True, help="A folder of pictures, or a video file.")],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="An .mp4 file, or a new folder for JPEG files.")],
    config: ConfigFile = None,
    model: ModelName = None,
    labels: Annotated[Path | None, typer.Option(help="CSV of labels and recorded headers.")] = None,
    camera: Annotated[str | None, typer.Option(help="Camera id; default: from the files.")] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Frames per second; default: the video's own, or 25 for pictures.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw on every frame what a worker would publish about it, and write a video or pictures.

    The source is read twice, for the model and for the drawing, so a video of any length fits in memory. Only the
    settings of model, window and limits are used; no broker is needed.
    """
    _check_out(source, out)
    from worker.tuning.in_force import offline_groups

    groups = offline_groups(config, model).updated_by({"model.masks": True})  # areas are drawn from masks

    from worker.app.offline import run_offline
    from worker.media.video_file import frame_rate
    from worker.models.build import build_model, find_manifest
    from worker.models.preparation import picture_rules

    topics, rules = Topics(), picture_rules(groups.limits, groups.model)
    per_second = rate or (PICTURES_PER_SECOND if source.is_dir() else frame_rate(source))
    manifest, outcomes = find_manifest(groups.model), Outcomes(topics)
    found = open_source(source, labels=labels, camera=camera, rate=per_second, classes=manifest.labels)
    if found.note:
        typer.echo(found.note, err=True)
    loaded = build_model(manifest, groups.model)
    with progress_bar() as progress:
        run_offline(
            progress.track(found.frames(), total=found.count, description="predicting"), outcomes.add, groups, loaded
        )
        count = progress.tasks[0].completed  # only reading a video tells how many frames there are
        frames = progress.track(found.frames(), total=count, description="drawing")
        rendered = _write(out, frames, outcomes, size=_size(found.frames(), rules), rate=per_second, rules=rules)
    typer.echo(msgspec.json.encode(rendered) if as_json else rendered.summary)


class Rendered(msgspec.Struct, kw_only=True):
    """What was written.

    Attributes:
        predicted: frames with a prediction of their own.
        rejected: frames that became dead letters.
        out: the file or folder.
        codec: of the video; None for pictures.
    """

    frames: int
    predicted: int
    rejected: int
    out: str
    codec: str | None

    @property
    def summary(self) -> str:
        """A one-line summary for people."""
        codec = f" ({self.codec})" if self.codec else ""
        return f"{self.frames} frames, {self.predicted} with a prediction, {self.rejected} rejected: {self.out}{codec}"


class Outcomes:
    """What the worker published, by offset.

    Messages are kept as bytes, because decoded they take more: about 1 KB a frame, with a mask some 10 KB.
    """

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._predictions = dict[int, bytes]()
        self._rejected = dict[int, Rejected]()

    def add(self, record: OutboundRecord) -> None:
        """Take a published record; those of accuracy are left out."""
        if record.topic == self._topics.predictions and record.value is not None:
            self._predictions[wire.decode_message(record.value).frame.offset] = record.value
        elif record.topic == self._topics.dead_letters:
            letter = wire.parse_dead_letter(record)
            self._rejected[letter.offset] = Rejected(letter.reason)

    def of(self, offset: int) -> Outcome | None:
        """Return what was published for an offset; None if nothing was."""
        message = self._predictions.get(offset)
        return self._rejected.get(offset) if message is None else wire.decode_message(message)

    @property
    def predicted(self) -> int:
        """How many predictions there are."""
        return len(self._predictions)

    @property
    def rejected(self) -> int:
        """How many dead letters there are."""
        return len(self._rejected)


def _check_out(source: Path, out: Path) -> None:
    """Say what is wrong with the output before the model has worked for it."""
    from worker.media.folder import check_empty

    if out.suffix.lower() in OTHER_VIDEOS:
        raise SettingsError([f"{out}: only {VIDEO} is written: choose that suffix, or a folder for pictures"])
    if out.resolve() == source.resolve():
        raise SettingsError([f"{out} is the source: choose another name"])
    if out.suffix.lower() != VIDEO:
        check_empty(out)


def _write(
    out: Path,
    frames: Iterable[CapturedFrame],
    outcomes: Outcomes,
    *,
    size: tuple[int, int],
    rate: float,
    rules: PictureRules,
) -> Rendered:
    """Draw the frames and write them; in a video, each is made to fit the size (width, height)."""
    from worker.media.picture_files import write_pictures
    from worker.media.video_file import write_video

    is_video = out.suffix.lower() == VIDEO
    drawn = _drawn(frames, outcomes, size=size, all_alike=is_video, rate=rate, rules=rules)
    count, codec = 0, None
    if is_video:
        written = write_video(out, drawn, rate=rate)
        count, codec = written.frames, written.codec
    else:
        count = write_pictures(out, drawn)
    return Rendered(frames=count, predicted=outcomes.predicted, rejected=outcomes.rejected, out=str(out), codec=codec)


def _drawn(
    frames: Iterable[CapturedFrame],
    outcomes: Outcomes,
    *,
    size: tuple[int, int],
    all_alike: bool,
    rate: float,
    rules: PictureRules,
) -> Iterator[Pixels]:
    from worker.views.drawing import draw

    shown = facts_of_frames(frames, outcomes.of, event_frames=max(1, round(EVENT_SECONDS * rate)))
    for offset, (frame, facts) in enumerate(shown):
        pixels = _decode(offset, frame, rules)
        if pixels is None:
            pixels = np.zeros((size[1], size[0], 3), np.uint8)
        yield draw(pixels, facts, size=size if all_alike else None)


def _size(frames: Iterable[CapturedFrame], rules: PictureRules) -> tuple[int, int]:
    """Return (width, height) of the first frame that is a picture."""
    decoded = (_decode(offset, frame, rules) for offset, frame in enumerate(frames))
    first = next((pixels for pixels in decoded if pixels is not None), None)
    return NO_PICTURE if first is None else (first.shape[1], first.shape[0])


def _decode(offset: int, frame: CapturedFrame, rules: PictureRules) -> Pixels | None:
    """Return the picture as the model got it, before it was resized; None where the worker rejects it too."""
    from worker.media.images import decode_image

    try:
        return decode_image(_parse(offset, frame), rules).pixels
    except FrameRejected:
        return None


def _parse(offset: int, frame: CapturedFrame) -> EncodedFrame:
    from worker.app.offline import record_of

    return wire.parse_frame(record_of(offset, frame), arrived_at=frame.captured_at, arrived=Monotonic(0.0))
