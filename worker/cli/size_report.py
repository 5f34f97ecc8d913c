"""What `vision-worker size` prints: each figure with its arithmetic, what breaks first, and what to type next."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from worker.domain.sizing import (
    ACCURACY_BYTES,
    BUSIEST_SHARE,
    MOST_REPLICAS,
    PREDICTION_BYTES,
    ROOM_TO_GROW,
    SEGMENT_BYTES,
    SERIES_A_CAMERA,
    SERIES_A_WORKER,
    TOPICS,
    Cameras,
    Limit,
    Plan,
    Size,
    Speed,
)

SHOWN_LIMITS: Final = 3
_TIGHT: Final = 0.5
"""Share of a limit from which on it is shown, however many there are."""
_SIZES: Final = ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_TIMES: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))


class Line(NamedTuple):
    """One figure.

    Attributes:
        name: what it is.
        arithmetic: how it is computed.
        result: the figure with its unit.
    """

    name: str
    arithmetic: str
    result: str


def lines_of(cameras: Cameras, speed: Speed, plan: Plan, size: Size) -> Iterator[Line]:
    """Yield the figures, each with its arithmetic."""
    yield Line("frames", f"{number(cameras.count)} cameras x {number(cameras.fps)}/s", f"{number(size.frames)}/s")
    if cameras.answers != cameras.fps:
        counted = f"{number(cameras.count)} cameras x {number(cameras.answers)}/s"
        yield Line("predictions", counted, f"{number(size.answers)}/s")
    yield from _worker_lines(speed, plan, size)
    yield from _broker_lines(cameras, plan, size)
    if plan.transactions:
        written = size.markers / size.workers / plan.transactions
        each = f"{number(size.workers)} x {number(plan.transactions)}/s x {number(written)} partitions"
        yield Line("transactions", each, f"{number(size.markers)} markers/s")
    series = f"{number(cameras.count)} x {SERIES_A_CAMERA} + {number(size.workers)} x {SERIES_A_WORKER}"
    yield Line("metrics", series, f"{number(size.series)} series")


def _worker_lines(speed: Speed, plan: Plan, size: Size) -> Iterator[Line]:
    needed = f"{number(size.answers)}/s / ({number(speed.answers)}/s x {plan.headroom:g}) = {number(size.needed)}"
    yield Line("workers", needed + _correction(size), _count(size.workers, "worker"))
    yield Line("  cores", f"{number(size.workers)} x {speed.cores}", _count(size.cores, "core"))
    yield Line("  memory", f"{number(size.workers)} x {in_bytes(speed.memory)}", in_bytes(size.memory))
    mean, workers = number(size.mean_cameras), number(size.workers)
    spread = f"{mean} + sqrt(2 x {mean} x ln {workers}) cameras" if size.workers > 1 else "all cameras"
    yield Line("  busiest", spread, f"{number(size.most_cameras)}, {size.busiest:.0%} of its speed")
    room = f"{ROOM_TO_GROW} x {workers} workers" if size.partitions == ROOM_TO_GROW * size.workers else "at least"
    yield Line("partitions", f"{room}, so that more can join", f"{number(size.partitions)} of each topic")


def _correction(size: Size) -> str:
    if size.workers > size.evenly:
        return f", {number(size.workers - size.evenly)} more for the busiest"
    return ", no more than cameras" if size.workers < size.needed else ""


def _broker_lines(cameras: Cameras, plan: Plan, size: Size) -> Iterator[Line]:
    copies, answers = f"{plan.replication} copies", number(size.answers)
    sent = f"{number(size.frames)}/s x {in_bytes(cameras.frame_bytes)}"
    kept = f"{in_bytes(PREDICTION_BYTES)} x {in_time(plan.results_retention)}"
    yield Line("broker disk", "", in_bytes(size.disk.total))
    yield Line("  frames", f"{sent} x {in_time(plan.retention)} x {copies}", in_bytes(size.disk.frames))
    yield Line("  predictions", f"{answers}/s x {kept} x {copies}", in_bytes(size.disk.predictions))
    segments = f"{number(size.partitions)} x {in_bytes(SEGMENT_BYTES)}"
    full = size.disk.accuracy >= size.partitions * SEGMENT_BYTES * plan.replication
    log = segments if full else f"{answers}/s x {in_bytes(ACCURACY_BYTES)} x 7 d"
    yield Line("  accuracy", f"{log} x {copies}, then compacted", in_bytes(size.disk.accuracy))
    frames, results = map(in_bytes, size.produced)
    yield Line("network in", f"({frames} + {results})/s x {copies}", f"{in_bytes(size.broker_in)}/s")
    yield Line("network out", "as much: copies, workers, one consumer", f"{in_bytes(size.broker_out)}/s")
    network = f"{in_bytes(size.broker_in)} / ({in_bytes(plan.network)} x {plan.headroom:g})"
    share = number(size.broker_in / (plan.network * plan.headroom))
    yield Line("brokers", f"{network} = {share}, at least {plan.replication}", _count(size.brokers, "broker"))
    total = f"{TOPICS} x {number(size.partitions)} x {copies} / {number(size.brokers)}"
    yield Line("  partitions", f"{total}, at most {number(MOST_REPLICAS)}", f"{number(size.replicas)} each")


def tight_limits(limits: Sequence[Limit]) -> Sequence[Limit]:
    """Return the limits to show: the first ones, and all that are half used."""
    return [each for place, each in enumerate(limits) if place < SHOWN_LIMITS or each.share >= _TIGHT]


def limit_text(limit: Limit) -> str:
    """Say how much of a limit is used."""
    return f"{limit.what}: {number(limit.used)} of {number(limit.limit)}"


def next_steps(command: str, plan: Plan, size: Size) -> Iterator[str]:
    """Yield what to type, and what to set; `command` creates the topics."""
    yield f"{command} --partitions {size.partitions} --replication-factor {plan.replication} \\"
    yield f"  --set frames.retention.ms={plan.retention * 1000:.0f} \\"
    yield f"  --set predictions.retention.ms={plan.results_retention * 1000:.0f} \\"
    yield f"  --set accuracy.segment.bytes={SEGMENT_BYTES}"
    if size.most_cameras > plan.max_cameras:
        yield f"limits.max_cameras: {size.max_cameras}   # in worker.yaml"


def remarks(cameras: Cameras, speed: Speed, plan: Plan, size: Size) -> Iterator[str]:
    """Yield what the figures do not say."""
    if cameras.answers > speed.answers:
        yield (
            f"No number of workers is enough: one camera needs {number(cameras.answers)} predictions/s, and its frames "
            f"go to one worker, which makes {number(speed.answers)}/s. Set sampling.rate to "
            f"{number(BUSIEST_SHARE * speed.answers)} or less, or use a faster worker."
        )
    if size.workers > size.evenly:
        yield (
            f"Kafka's hash of the camera id spreads the cameras unevenly. {number(size.evenly)} workers are enough if "
            "producers choose the partition: the camera's number modulo the partitions."
        )
    if size.most_cameras > plan.max_cameras:
        lost = number(size.most_cameras - plan.max_cameras)
        yield (
            f"limits.max_cameras is {plan.max_cameras}: the metrics of the busiest worker would count "
            f"{lost} of its cameras as 'other'. Topics have all of them."
        )


def number(value: float) -> str:
    """Write a number for people: 2,500 or 10.2 or 0.35."""
    if value >= 99.95 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 1 else f"{value:.2g}"


def in_bytes(value: float) -> str:
    """Write bytes in the largest unit that fits, powers of 1,000."""
    for size, unit in _SIZES:
        if value >= size:
            return f"{number(value / size)} {unit}"
    return f"{number(value)} B"


def in_time(seconds: float) -> str:
    """Write a duration in the largest unit that divides it."""
    for size, unit in _TIMES:
        if seconds >= size and seconds % size == 0:
            return f"{number(seconds / size)} {unit}"
    return f"{number(seconds)} s"


def _count(count: int, what: str) -> str:
    return f"{number(count)} {what}{'s' * (count != 1)}"
