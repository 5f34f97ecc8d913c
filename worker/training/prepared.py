"""All pictures of the data, decoded and resized once by the worker's own preparation, in a file on disk."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.data.items import Item
from worker.data.reading import read_pictures
from worker.domain.errors import FrameRejected, SettingsError
from worker.domain.frames import EncodedFrame, Frame
from worker.domain.geometry import Geometry
from worker.domain.preprocessing import Preprocessing
from worker.domain.records import Position, Record, TopicPartition
from worker.domain.times import EventMillis, Monotonic
from worker.models.container import cores
from worker.models.preparation import frame_decoder
from worker.settings import Limits, ModelGroup

_AT_ONCE: Final = 256
"""Pictures that are read before they are decoded, in threads."""
_NOWHERE: Final = Position(TopicPartition("data", 0), 0)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Pictures as the network takes them.

    Attributes:
        items: those that could be read, in order.
        pixels: RGB, (pictures, height, width, 3), uint8, one for each of `items`; on disk.
        geometries: how each became what it is.
        unreadable: for each that could not be read, its name and why.
    """

    items: tuple[Item, ...]
    pixels: NDArray[np.uint8]
    geometries: tuple[Geometry, ...]
    unreadable: tuple[str, ...]

    def rows(self) -> dict[str, int]:
        """Return the row of each picture, by its name."""
        return {item.name: row for row, item in enumerate(self.items)}


def prepare(
    items: Sequence[Item],
    numbers: Preprocessing,
    scratch: Path,
    *,
    seen: Callable[[int], None] = lambda _: None,
) -> Prepared:
    """Decode and resize pictures exactly as the worker does.

    Args:
        items: which pictures.
        numbers: of the network.
        scratch: a folder with room for the pixels; the file in it is gone as soon as nothing uses it.
        seen: is called with the number of pictures that are done.

    Raises:
        SettingsError: there is no room.
    """
    shape = (len(items), *numbers.picture_shape)
    needed, free = int(np.prod(shape)), shutil.disk_usage(scratch).free
    if needed > free:
        room = f"the prepared pictures need {needed / 1e9:.1f} GB, and {scratch} has {free / 1e9:.1f} GB"
        raise SettingsError([f"{room}: write to a larger disk, or give a smaller --size"])
    decode = frame_decoder(numbers, ModelGroup(name="trained"), Limits())
    with tempfile.TemporaryFile(dir=scratch) as file:
        # An empty file cannot be mapped.
        file.truncate(max(1, needed))
        pixels = np.memmap(file, np.uint8, "r+", shape=(max(1, needed),))[:needed].reshape(shape)
    kept, geometries, unreadable = list[Item](), list[Geometry](), list[str]()
    pictures, done = read_pictures(items), 0
    with ThreadPoolExecutor(cores()) as pool:
        while chunk := list(islice(pictures, _AT_ONCE)):
            slots = np.zeros((len(chunk), *shape[1:]), np.uint8)
            decoded = pool.map(lambda each, slot: _decode(decode, each[1], slot), chunk, slots)
            for (item, _), slot, found in zip(chunk, slots, decoded, strict=True):
                if isinstance(found, Geometry):
                    pixels[len(kept)] = slot
                    kept.append(item)
                    geometries.append(found)
                else:
                    unreadable.append(f"{item.name}: {found}")
            done += len(chunk)
            seen(done)
    return Prepared(tuple(kept), pixels[: len(kept)], tuple(geometries), tuple(unreadable))


def _decode(
    decode: Callable[[EncodedFrame, NDArray[np.uint8]], Geometry], data: bytes | None, slot: NDArray[np.uint8]
) -> Geometry | str:
    """Return how a picture was prepared, or why it could not be."""
    if data is None:
        return "the file cannot be read"
    at = EventMillis(0)
    frame = Frame(_NOWHERE, "data", "data", at, at, Monotonic(0.0))
    try:
        return decode(EncodedFrame(frame, Record(_NOWHERE, None, data, (), at)), slot)
    except FrameRejected as error:
        return str(error)
