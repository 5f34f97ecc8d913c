"""Pictures with their predictions drawn on them, now and then one of each camera."""

from collections import OrderedDict, deque
from collections.abc import Callable
from threading import Lock
from typing import Final

import cv2
import numpy as np

from worker.domain.clips import Slots
from worker.domain.frames import EncodedFrame, Frame
from worker.domain.pictures import PictureRules
from worker.domain.results import Prediction
from worker.media.images import decode_image
from worker.media.jpeg import JpegEncoder
from worker.views.drawing import draw
from worker.views.facts import facts_of
from worker.wire.prediction import message_of

CAMERAS: Final = 10_000
"""Cameras whose slots are remembered. Those heard of least recently are forgotten, and may get a picture too many."""
SLOTS: Final = 16
"""Slots of a camera that are remembered: threads that work on several parts at once take its frames out of order."""
QUALITIES: Final = (85, 60, 35)
"""Of the JPEG, best first: a lower one is for what would be too large."""
ALWAYS_FITS: Final = 900_000
"""Bytes that every topic takes, unless its limit was lowered."""


class Annotator:
    """Implements `ports.Annotate`: draws the first predicted frame of each slot of capture time of a camera.

    A picture larger than both `ALWAYS_FITS` and its frame is left out, because its topic may refuse it, and a worker
    whose outputs are refused stops.

    Args:
        every_ms: milliseconds of capture time in a slot.
        rules: as those of the model's pictures, so that boxes lie where they belong.
        failed: is called with each frame that could not be drawn, and the error; several threads may call it at once.
    """

    def __init__(self, every_ms: int, rules: PictureRules, *, failed: Callable[[Frame, Exception], None]) -> None:
        self._slots = Slots(1000 / every_ms)
        self._rules = rules
        self._failed = failed
        self._drawn: OrderedDict[str, deque[int]] = OrderedDict()
        self._choosing = Lock()
        self._drawing = Lock()  # OpenCV does not document that threads may share a font

    def __call__(self, prediction: Prediction, encoded: EncodedFrame) -> bytes | None:
        """Return the JPEG of a frame with its prediction; None if its slot has one already, or it cannot be made."""
        if not self._is_first(prediction.frame):
            return None
        try:
            return self._picture(prediction, encoded)
        except Exception as error:  # noqa: BLE001 a picture for people must not end the worker
            self._failed(prediction.frame, error)
            return None

    def _is_first(self, frame: Frame) -> bool:
        slot = self._slots.of(frame.captured_at)
        with self._choosing:
            drawn = self._drawn.setdefault(frame.camera, deque(maxlen=SLOTS))
            self._drawn.move_to_end(frame.camera)
            if len(self._drawn) > CAMERAS:
                self._drawn.popitem(last=False)
            if slot in drawn:
                return False
            drawn.append(slot)
            return True

    def _picture(self, prediction: Prediction, encoded: EncodedFrame) -> bytes:
        # What is drawn does not depend on the time of publication, which nobody knows yet.
        facts = facts_of(message_of(prediction, published_at=prediction.frame.arrived_at))
        pixels = decode_image(encoded, self._rules).pixels
        with self._drawing:
            drawn = draw(pixels, facts)
        bgr, room = cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR), max(ALWAYS_FITS, len(encoded.data))
        for quality in QUALITIES:
            if len(jpeg := JpegEncoder(quality)(np.asarray(bgr))) <= room:
                return jpeg
        raise ValueError(f"the JPEG has {len(jpeg)} bytes, and {room} are sure to fit into the topic")
