"""The sources of `vision-worker produce`: what each SOURCE is, and which options contradict them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from worker.domain.errors import SettingsError
from worker.local.sources import Kind, Source


@dataclass(frozen=True, slots=True)
class Options:
    """The options that do not go with every source, as they were given."""

    loop: str
    labels: Path | None
    keep_times: bool
    realtime: bool
    scale: float
    give_up_after: float | None


def read_sources(texts: Sequence[str], cameras: Sequence[str]) -> list[Source]:
    """Return what each SOURCE is, with its camera id.

    Raises:
        typer.BadParameter: a SOURCE is nothing that can be read, or two live ones have the same id by default. The text
            tells no password.
    """
    if cameras and len(cameras) != len(texts):
        raise typer.BadParameter(
            "give it once for each SOURCE, in the same order, or not at all", param_hint="--camera"
        )
    names: Sequence[str | None] = cameras or [None] * len(texts)
    sources = [_read_source(text, name) for text, name in zip(texts, names, strict=True)]
    live = Counter(source.camera for source in sources if source.kind is Kind.LIVE)
    same = [camera for camera, times in live.items() if times > 1]
    if same and not cameras:
        raise typer.BadParameter(f"several sources would be camera {same[0]!r}: name them", param_hint="--camera")
    return sources


def check_options(sources: Sequence[Source], options: Options) -> None:
    """Refuse options that contradict one another or the sources.

    Raises:
        typer.BadParameter: the first contradiction, and what to do.
    """
    for option, text in _contradictions(Counter(source.kind for source in sources), options):
        raise typer.BadParameter(text, param_hint=option)


def _contradictions(kinds: Counter[Kind], options: Options) -> Iterator[tuple[str, str]]:
    only_live = kinds.total() == kinds[Kind.LIVE]
    loops = options.loop != "1"
    if options.labels is not None and kinds[Kind.FOLDER] != 1:
        yield "--labels", "it describes one folder: exactly one source must be a folder"
    if loops and only_live:
        yield "--loop", "a live source is never at its end: leave it out"
    if options.realtime and not kinds[Kind.VIDEO]:
        yield "--realtime", "it is for video files, and no source is one: leave it out"
    if options.give_up_after is not None and not kinds[Kind.LIVE]:
        yield "--give-up-after", "it is for live sources, and no source is one: leave it out"
    if not 0 < options.scale <= 1:
        yield "--scale", "it is a factor above 0 and at most 1, such as 0.5"
    if options.scale < 1 and kinds.total() == kinds[Kind.FOLDER]:
        yield "--scale", "the pictures of a folder are sent as they are: leave it out"
    if options.keep_times:
        yield from _contradictions_of_times(loops=loops, only_live=only_live, realtime=options.realtime)


def _contradictions_of_times(*, loops: bool, only_live: bool, realtime: bool) -> Iterator[tuple[str, str]]:
    if loops:
        yield "--keep-times", "a repetition would go back in time: leave out --loop"
    if realtime:
        yield "--keep-times", "with --realtime, the capture time is the time of playing: leave out one of the two"
    if only_live:
        yield "--keep-times", "a live source has no recorded times, only those of arrival: leave it out"


def _read_source(text: str, camera: str | None) -> Source:
    from worker.media.addresses import camera_of, check_address, hide_address, is_address

    if is_address(text):
        try:
            check_address(text)
        except SettingsError as error:
            raise typer.BadParameter(str(error), param_hint="SOURCE") from error
        return Source(Kind.LIVE, text, camera or camera_of(text))
    path = Path(text)
    if path.is_dir():
        return Source(Kind.FOLDER, path, camera)
    if path.is_file():
        return Source(Kind.VIDEO, path, camera or path.stem)
    if text.isdecimal():
        return Source(Kind.LIVE, int(text), camera or f"device-{text}")
    raise typer.BadParameter(
        f"{hide_address(text)} is neither a folder, nor a file, nor a device number, nor an address that begins with "
        "rtsp://, rtsps://, http:// or https://",
        param_hint="SOURCE",
    )
