"""How an encoded frame becomes the model's input: settings in, a function out."""

from contextlib import suppress
from functools import partial

import numpy as np
from numpy.typing import NDArray

from worker.domain.errors import ImageUndecodable
from worker.domain.frames import EncodedFrame
from worker.domain.geometry import Geometry, resize_and_crop
from worker.domain.preprocessing import Preprocessing
from worker.media.headers import PictureHeader, PictureKind
from worker.media.images import decode_image, inspect_frame
from worker.media.resize import resize_middle, resizes
from worker.models.engines.torch_engine import find_device
from worker.models.torch_preparation import JpegPreparation, prepare_image
from worker.ports import Decode
from worker.settings import ModelGroup


def frame_decoder(numbers: Preprocessing, group: ModelGroup, *, max_pixels: int) -> Decode:
    """Build the way from an encoded frame into its slot of a batch that `model.preparation` names.

    Args:
        numbers: of the model's weights.
        group: its settings.
        max_pixels: of the largest picture to take, whatever is made of it.

    Raises:
        ModelUnavailable: the device is not there, or JPEG cannot be decoded on it.
    """
    # Four times as fast as torchvision's own, and but for one value in some 50,000 the same.
    prepare = resize_middle if resizes(numbers) else prepare_image
    shorter_side = numbers.resize if group.preparation == "reduced" else None
    decode = partial(decode_image, max_pixels=max_pixels, shorter_side=shorter_side)

    def on_cpu(frame: EncodedFrame, out: NDArray[np.uint8]) -> Geometry:
        image = decode(frame)
        prepare(image, out, numbers)
        return resize_and_crop(image.sent or image.size, image.size, numbers)

    if group.preparation != "nvjpeg":
        return on_cpu
    prepare_jpeg = JpegPreparation(find_device(group.device, "fp32"), numbers)

    def on_device(frame: EncodedFrame, out: NDArray[np.uint8]) -> Geometry:
        found = inspect_frame(frame, max_pixels=max_pixels)
        if isinstance(found, PictureHeader) and found.kind is PictureKind.JPEG:
            # nvJPEG takes fewer forms than libjpeg, which has the last word: whether a frame is refused, and why, is
            # the same with every way.
            with suppress(ImageUndecodable):
                prepare_jpeg(frame.data, out)
                size = found.width, found.height
                return resize_and_crop(size, size, numbers)
        return on_cpu(frame, out)

    return on_device
