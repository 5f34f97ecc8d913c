"""How a batch is cut for threads that each take a part of it."""

from collections.abc import Sequence


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
