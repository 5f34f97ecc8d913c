"""Send twice as many frames as a worker can take, and measure how old its predictions are."""

from collections import Counter, defaultdict
from typing import Final

from tests.benchmarks.bench import Bench
from tests.benchmarks.frames import PARTITIONS, USUAL
from tests.benchmarks.loaded import worker_with_load
from tests.benchmarks.measure import Spread, percentiles
from tests.benchmarks.models import heavy
from tests.benchmarks.outcome import Outcome, Table
from tests.benchmarks.processes import worker
from tests.benchmarks.profiles import Settings
from worker import wire

MAX_AGE_MS: Final = 1_000
LOAD: Final = 2.0
SHOWN: Final = (50.0, 99.0, 100.0)


def overload(bench: Bench) -> Outcome:
    """Send frames at twice the rate that the worker reaches with a backlog, and account for each of them."""
    engine: Settings = {"model": {"engine": "openvino", "streams": bench.cores, "threads": bench.cores}}
    capacity = bench.measure(heavy(), USUAL, worker(engine))
    bench.tell(f"overload: the worker takes {capacity:.1f} frames/s")
    topic = "overload-skipped"
    bench.create(topic)
    profile: Settings = {
        **engine,
        "sampling": {"on_lag": "skip_older_than", "max_age_ms": MAX_AGE_MS},
        "topics": {"skipped": topic},
    }
    with worker_with_load(bench, heavy(), profile, 0.2 * capacity) as loaded:
        loaded.send(LOAD * capacity, 3 * bench.effort.seconds)
        predictions = [wire.decode_prediction(each.value or b"") for each in bench.read(loaded.place.results)]
        skipped = [wire.decode_skipped(each.value or b"") for each in bench.read(topic)]
        dead_letters = len(bench.read(loaded.place.topics.dead_letters))
        sent = loaded.sent
    ages = defaultdict[str, list[float]](list)
    for each in predictions:
        ages[each.frame.camera].append(each.published_at_ms - each.captured_at_ms)
    left_out = Counter(each.frame.camera for each in skipped)
    rows = [
        [camera, str(len(found)), str(left_out[camera]), *(f"{age:.0f}" for age in percentiles(found, SHOWN))]
        for camera, found in sorted(ages.items())
    ]
    total = len(predictions) + len(skipped) + dead_letters
    bench.tell(
        f"overload: {len(predictions)} predicted + {len(skipped)} skipped + {dead_letters} dead letters = {total} of "
        f"{sent} sent; oldest prediction {max(map(max, ages.values()))} ms"
    )
    return Outcome(
        "Overload",
        f"Frames come at {LOAD:g} times the {capacity:.0f} frames/s that the worker takes, with "
        f"`sampling.on_lag: skip_older_than` and `max_age_ms: {MAX_AGE_MS}`. Ages are milliseconds from capture to the "
        f"publication that the worker writes into a prediction. {len(predictions)} predicted + {len(skipped)} skipped "
        f"+ {dead_letters} dead letters = {total}, of {sent} frames sent, on {PARTITIONS} partitions.",
        [Table(("camera", "predicted", "skipped", "p50", "p99", "oldest"), rows)],
        {
            "overload_oldest_over_limit": Spread.of([max(found) / MAX_AGE_MS for found in ages.values()]),
            "overload_accounted": Spread.of([total / sent]),
            "overload_predicted_of_capacity": Spread.of([len(predictions) / sent * LOAD]),
        },
    )
