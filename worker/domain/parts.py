"""How a batch is cut for threads that each take a part of it."""

from collections.abc import Sequence


def cut(frames: int, *, threads: int, largest: int | None) -> Sequence[slice]:
    """Cut a batch into parts of much the same size, as many as come out even for the threads; none of no frames.

    Args:
        frames: in the batch.
        threads: that take parts side by side.
        largest: frames in a part; None leaves the batch whole.
    """
    if largest is None:
        return [slice(0, frames)] if frames else []
    rounds = -(-frames // (threads * largest))
    count = min(frames, rounds * threads)
    ends = [frames * number // count for number in range(1, count + 1)]
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
