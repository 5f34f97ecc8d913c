"""How many workers, partitions and brokers a number of cameras needs, and which limit is reached first."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PREDICTION_BYTES: Final = 1_000
ACCURACY_BYTES: Final = 500
"""Bytes of a record with its key and headers, for five classes with short names."""
WORKER_BYTES: Final = 1_000_000_000
"""Memory of a worker with MobileNetV2, without the frames that it holds."""
SEGMENT_BYTES: Final = 2**26
"""`segment.bytes` of the topic of accuracy. The newest segment of a partition is never compacted, and a worker reads it
back when it starts: with Kafka's default of 1 GiB, that takes half a minute for each partition."""
SEGMENT_SECONDS: Final = 7 * 86_400
"""Kafka's default for `segment.ms`."""
MESSAGE_BYTES: Final = 1_048_588
"""Kafka's default for `max.message.bytes`."""
SERIES_A_CAMERA: Final = 8
SERIES_A_WORKER: Final = 350
RESTORED_PER_SECOND: Final = 40_000
"""Records of accuracy that a worker reads back: 10,000 took 0.2 s longer than 360 (`tests/benchmarks/cameras.py`)."""

MOST_MEMBERS: Final = 250
"""Of a consumer group: KIP-389 names it as a limit that a group in good health does not reach."""
MOST_REPLICAS: Final = 4_000
"""Partitions of a broker, copies included: the recommendation that KIP-578 quotes."""
MOST_IN_CLUSTER: Final = 200_000
"""Partitions of a cluster, copies included: the same recommendation."""
MOST_SERIES: Final = 2_000_000
"""Of one Prometheus server with some 8 GB of memory: it needs 3 to 4 kB for each."""
MOST_SECONDS_TO_RESTORE: Final = 60.0
BUSIEST_SHARE: Final = 0.9
"""Of its speed that the busiest worker may need: the rest is for catching up."""

TOPICS: Final = 4
"""That have as many partitions as the frames: frames, predictions, accuracy and dead letters."""
_WRITTEN_TOPICS: Final = 2
"""By each transaction: predictions and accuracy; offsets are one partition more."""
ROOM_TO_GROW: Final = 2
LEAST_PARTITIONS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Cameras:
    """What the cameras send, and what is made of it.

    Attributes:
        count: number of cameras.
        fps: frames per second of each.
        frame_bytes: mean size of an encoded frame.
        answers: predictions per second for each camera: fewer than `fps` if frames are left out, or shown in clips.
    """

    count: int
    fps: float
    frame_bytes: int
    answers: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """What one worker can do.

    Attributes:
        answers: predictions per second when it is never idle.
        cores: that it uses.
        memory: bytes that it needs.
    """

    answers: float
    cores: int
    memory: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the user decides.

    Attributes:
        headroom: share of their speed that workers shall use on average, above 0 and at most 1.
        retention: seconds for which frames are kept.
        results_retention: seconds for which predictions are kept.
        replication: copies of each partition.
        network: bytes per second of a broker, in each direction.
        max_cameras: the setting `limits.max_cameras`.
        transactions: per second of each worker; 0 for at least once.
    """

    headroom: float = 0.6
    retention: float = 3_600.0
    results_retention: float = 7 * 86_400.0
    replication: int = 3
    network: float = 1.25e9
    max_cameras: int = 200
    transactions: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Bytes on the disks of all brokers together, copies included."""

    frames: float
    predictions: float
    accuracy: float

    @property
    def total(self) -> float:
        """All topics together."""
        return self.frames + self.predictions + self.accuracy


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What the cameras need.

    Attributes:
        frames: per second.
        answers: predictions per second.
        needed: workers, as a fraction, at the planned headroom.
        evenly: workers, if the cameras are spread evenly.
        workers: enough of them, also for the one that gets the most cameras if they are spread by chance.
        mean_cameras: of a worker.
        most_cameras: of the busiest worker: keys are spread by chance.
        busiest: share of its speed that the busiest worker needs.
        partitions: of each topic.
        memory: bytes of all workers together.
        cores: of all workers together.
        produced: bytes per second of frames, and of results.
        broker_in: bytes per second that all brokers receive, from each other too.
        broker_out: bytes per second that all brokers send: copies, frames to the workers, results to one consumer.
        disk: of all brokers together.
        brokers: as many as their network, their partitions and the copies need.
        replicas: partitions of a broker, copies included.
        series: in Prometheus, of all workers together.
        max_cameras: value for `limits.max_cameras`, so that every camera has its own series.
        restore: seconds to read back accuracy when a worker starts, at most.
        markers: records per second that end transactions, in all partitions together.
    """

    frames: float
    answers: float
    needed: float
    evenly: int
    workers: int
    mean_cameras: float
    most_cameras: int
    busiest: float
    partitions: int
    memory: int
    cores: int
    produced: tuple[float, float]
    broker_in: float
    broker_out: float
    disk: Disk
    brokers: int
    replicas: int
    series: int
    max_cameras: int
    restore: float
    markers: float


@dataclass(frozen=True, slots=True)
class Limit:
    """Something that breaks when the load grows.

    Attributes:
        what: the thing that is limited.
        used: what is needed, in the unit of `limit`.
        limit: from where on it breaks.
        remedy: what to do then.
    """

    what: str
    used: float
    limit: float
    remedy: str

    @property
    def share(self) -> float:
        """How much of the limit is used; above 1, it breaks."""
        return self.used / self.limit


def size_of(cameras: Cameras, speed: Speed, plan: Plan) -> Size:
    """Compute what the cameras need. All sums are simple on purpose: `docs/sizing.md` shows each of them."""
    frames, answers = cameras.count * cameras.fps, cameras.count * cameras.answers
    needed = answers / (speed.answers * plan.headroom)
    workers = _workers(cameras, speed, needed)
    most = most_on_one(cameras.count, workers)
    partitions = max(LEAST_PARTITIONS, ROOM_TO_GROW * workers)
    sent, results = frames * cameras.frame_bytes, answers * (PREDICTION_BYTES + ACCURACY_BYTES)
    broker_in = plan.replication * (sent + results)
    broker_out = (plan.replication - 1) * (sent + results) + sent + results
    replicas = TOPICS * partitions * plan.replication
    brokers = max(
        plan.replication,
        math.ceil(max(broker_in, broker_out) / (plan.network * plan.headroom)),
        math.ceil(replicas / MOST_REPLICAS),
    )
    log = min(answers * ACCURACY_BYTES * SEGMENT_SECONDS, partitions * SEGMENT_BYTES)
    return Size(
        frames=frames,
        answers=answers,
        needed=needed,
        evenly=min(cameras.count, max(1, math.ceil(needed))),
        workers=workers,
        mean_cameras=cameras.count / workers,
        most_cameras=most,
        busiest=most * cameras.answers / speed.answers,
        partitions=partitions,
        memory=workers * speed.memory,
        cores=workers * speed.cores,
        produced=(sent, results),
        broker_in=broker_in,
        broker_out=broker_out,
        disk=Disk(
            frames=sent * plan.retention * plan.replication,
            predictions=answers * PREDICTION_BYTES * plan.results_retention * plan.replication,
            accuracy=log * plan.replication,
        ),
        brokers=brokers,
        replicas=math.ceil(replicas / brokers),
        series=cameras.count * SERIES_A_CAMERA + workers * SERIES_A_WORKER,
        max_cameras=max(plan.max_cameras, min(cameras.count, 2 * most)),
        restore=log / ACCURACY_BYTES / workers / RESTORED_PER_SECOND,
        markers=workers * plan.transactions * (_WRITTEN_TOPICS * partitions / workers + 1),
    )


def most_on_one(cameras: int, workers: int) -> int:
    """Return how many cameras the worker with the most gets if each goes to a worker by chance, as by a hash."""
    mean = cameras / workers
    return min(cameras, math.ceil(mean + math.sqrt(2 * mean * math.log(workers))))


def limits_of(cameras: Cameras, speed: Speed, plan: Plan, size: Size) -> Sequence[Limit]:
    """Return what breaks when the load grows, what breaks first at the beginning.

    What more workers or more brokers mend is not among them: their numbers are chosen so that it holds.
    """
    found = (
        Limit(
            "predictions/s of one camera, whose frames one worker gets",
            cameras.answers,
            BUSIEST_SHARE * speed.answers,
            "lower sampling.rate, or use a faster worker; more workers do not help",
        ),
        Limit(
            "workers in one consumer group",
            size.workers,
            MOST_MEMBERS,
            "use faster workers, such as GPUs, or several groups with topics of their own",
        ),
        Limit(
            "cameras of the busiest worker with metrics of their own",
            size.most_cameras,
            plan.max_cameras,
            _series_remedy(plan, size),
        ),
        Limit(
            "time series in one Prometheus",
            size.series,
            MOST_SERIES,
            "lower limits.max_cameras, or let each Prometheus read a part of the workers",
        ),
        Limit(
            "bytes of a frame, in a message of the default size",
            cameras.frame_bytes,
            MESSAGE_BYTES,
            "raise max.message.bytes of frames and dead-letters, or send smaller pictures",
        ),
        Limit(
            "seconds until a new worker has read accuracy back",
            size.restore,
            MOST_SECONDS_TO_RESTORE,
            "lower segment.bytes of the topic accuracy",
        ),
        Limit(
            "partitions in the cluster, with their copies",
            TOPICS * size.partitions * plan.replication,
            MOST_IN_CLUSTER,
            "use faster workers, or several clusters",
        ),
    )
    return sorted(found, key=lambda each: -each.share)


def _series_remedy(plan: Plan, size: Size) -> str:
    """Say what to set; while the limit is far away, say only which setting it is."""
    new = (
        f"set limits.max_cameras to {size.max_cameras}"
        if size.max_cameras > plan.max_cameras
        else "raise limits.max_cameras"
    )
    return f"{new}; more cameras are counted as 'other'"


def _workers(cameras: Cameras, speed: Speed, needed: float) -> int:
    """Return the least number of workers of which the busiest can follow too; no more than there are cameras."""
    workers, allowed = max(1, math.ceil(needed)), BUSIEST_SHARE * speed.answers
    if cameras.answers <= allowed:  # else no number of workers is enough
        while most_on_one(cameras.count, workers) * cameras.answers > allowed and workers < cameras.count:
            workers += 1
    return min(workers, cameras.count)
