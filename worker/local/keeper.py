"""The process that keeps a Kafka in the background: `python -m worker.local.keeper '{"nodes": 1, "folder": null}'`."""

import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from worker.domain.errors import WorkerError
from worker.local.background import Running, announced
from worker.local.broker import LocalKafka

_CHECK_EVERY = 0.5  # seconds


def keep(nodes: int, folder: str | None) -> None:
    """Run a Kafka until it ends or until this process is told to stop it."""
    kafka = LocalKafka(nodes, Path(folder) if folder else None)
    kafka.start()
    with announced(Running(os.getpid(), kafka.bootstrap_servers, nodes, folder, str(kafka.logs))):
        try:
            while kafka.alive:
                time.sleep(_CHECK_EVERY)
        finally:
            kafka.stop()  # before the state file is removed: then Kafka has ended when others see no state file


def _stop(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # ignore further signals while stopping
    raise SystemExit


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    try:
        keep(**json.loads(sys.argv[1]))
    except WorkerError as error:
        sys.exit(str(error))
