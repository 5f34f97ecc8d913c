"""Compare the worker's speed with alternatives on a real Kafka: `python -m tests.benchmarks [--quick]`.

All contestants get the same frames and the same model, and take turns, because a machine's speed varies. Rates are
printed during the run; the report is build/bench.md with charts in build/bench, and the ratios are in build/bench.json.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.benchmarks.bench import Bench
from tests.benchmarks.outcome import Outcome
from tests.benchmarks.parts.agreement import agreement
from tests.benchmarks.parts.costs import hops, memory, start_up
from tests.benchmarks.parts.engines import engines
from tests.benchmarks.parts.gap import gap
from tests.benchmarks.parts.latency import latency
from tests.benchmarks.parts.overload import overload
from tests.benchmarks.parts.scaling import scaling
from tests.benchmarks.parts.tasks import clips, detection
from tests.benchmarks.parts.throughput import heavy_model, light_model, null_model, other_sizes
from tests.benchmarks.published import publish
from tests.benchmarks.report import as_markdown, render, write
from worker.domain.errors import WorkerError
from worker.local.broker import LocalKafka
from worker.ops.logs import configure_logs

BUILD: Final = Path(__file__).parents[2] / "build"

Part = Callable[[Bench], Outcome | Sequence[Outcome]]
PARTS: Final[Mapping[str, Part]] = {
    "light": light_model,
    "sizes": other_sizes,
    "heavy": heavy_model,
    "null": null_model,
    "latency": latency,
    "scaling": scaling,
    "gap": gap,
    "hops": hops,
    "memory": memory,
    "startup": start_up,
    "agreement": agreement,
    "clips": clips,
    "detection": detection,
    "overload": overload,
    "engines": engines,
}
NOT_QUICK: Final = frozenset({"sizes", "heavy", "clips", "detection", "overload", "engines"})
IN_DOCS: Final = frozenset({"engines"})
"""Parts of one outcome that docs/benchmarks.md shows."""


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    configure_logs(
        level="critical", json=False
    )  # contestants are stopped while they work, which this process's clients would log
    names = options.only or [name for name in PARTS if not (options.quick and name in NOT_QUICK)]
    folder = BUILD / "bench"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    outcomes: list[Outcome] = []
    with LocalKafka() as kafka:
        bench = Bench(kafka.bootstrap_servers, folder, quick=options.quick)
        for name in names:
            began = time.monotonic()
            found = PARTS[name](bench)
            new = [found] if isinstance(found, Outcome) else found
            outcomes += new
            for outcome in new:
                bench.tell("\n".join(["", outcome.title, *map(render, outcome.tables), ""]))
            bench.tell(f"{name} took {(time.monotonic() - began) / 60:.0f} minutes\n")
            write(outcomes, BUILD, quick=options.quick)
            if options.write_docs and name in IN_DOCS:
                publish(new[0], quick=options.quick)
    sys.stdout.write(as_markdown(outcomes, quick=options.quick, charts=folder.name))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("tests.benchmarks", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("--quick", action="store_true", help="light model and 640x480, fewer rounds, in a few minutes")
    parser.add_argument("--only", action="append", choices=PARTS, help="run one part; repeat for more parts")
    parser.add_argument("--write-docs", action="store_true", help="write what docs/benchmarks.md shows of the run")
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except WorkerError as error:  # such as an engine that could not be downloaded
        sys.exit(f"{error}")
