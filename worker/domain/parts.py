"""How a batch is cut: for threads that each take a part of it, and to the few sizes that an engine sees."""

from collections.abc import Sequence
from typing import Final

_EACH_UP_TO: Final = 8
"""Up to here, every size is one that an engine sees. Above, sizes double."""


def cut(frames: int, *, threads: int, largest: int | None) -> Sequence[slice]:
    """Cut a batch into rounds of full parts, one for each thread, and a last round of even ones; none of no frames.

    Args:
        frames: in the batch.
        threads: that take parts side by side.
        largest: frames in a full part; None leaves the batch whole.
    """
    if largest is None:
        return [slice(0, frames)] if frames else []
    full = frames // (threads * largest) * threads
    rest = frames - full * largest
    count = min(rest, threads)
    ends = [number * largest for number in range(1, full + 1)]
    ends += [full * largest + rest * number // count for number in range(1, count + 1)]
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def sizes(largest: int) -> Sequence[int]:
    """Return the sizes of calls that an engine sees, the largest one first: each one up to 8, then doubled ones.

    An engine prepares itself for every size, and keeps what it has prepared. So there are few sizes. A call of another
    size is cut, and not filled: a filled one would take longer.
    """
    doubled = [_EACH_UP_TO]
    while doubled[-1] * 2 < largest:
        doubled.append(doubled[-1] * 2)
    below = [*reversed(doubled), *range(_EACH_UP_TO - 1, 0, -1)]
    return [largest, *(each for each in below if each < largest)]


def cut_to_sizes(frames: int, *, largest: int) -> Sequence[slice]:
    """Cut a part into calls of the sizes that an engine sees, as few as possible; none of no frames."""
    cuts, start = list[slice](), 0
    for size in sizes(largest):
        while frames - start >= size:
            cuts.append(slice(start, start + size))
            start += size
    return cuts
