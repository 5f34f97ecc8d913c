"""Whether a refactoring changed anything: `python -m tests.compare BEFORE AFTER`, two commits of this repository.

Three questions: does `replay` print the same lines, what does a frame cost in Python, and how fast is the tuned worker.
Each commit runs in a git worktree of its own, with the packages of this virtual environment. What is sent, measured and
compared comes from the checkout that this is started in. Exits with 1 if `replay` printed other lines, and with 2 if a
commit could not be run.
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.compare.checkout import Checkout, CommandFailed, checked_out
from tests.compare.cost import compare_cost
from tests.compare.replay import compare_replay
from tests.compare.speed import PAIRS, compare_speed
from worker.domain.errors import WorkerError
from worker.ops.logs import configure_logs

QUESTIONS: Final = ("replay", "cost", "speed")


def main(arguments: Sequence[str]) -> int:
    parser = _parser()
    wanted = parser.parse_args(arguments)
    if wanted.pairs < 1:
        parser.error("--pairs must be at least 1")
    configure_logs(level="critical", json=False)  # our own Kafka clients report every worker that leaves
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an exception removes the worktrees, a signal would not
    with ExitStack() as undo:
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="compare-")))
        try:
            # Names of one length: a dead letter's stack has a maximum length, and paths are part of it.
            before = undo.enter_context(checked_out("before", wanted.before, folder / "tree-1"))
            after = undo.enter_context(checked_out("after", wanted.after, folder / "tree-2"))
            return int(not all(_ask(wanted, before, after, folder)))
        except (CommandFailed, WorkerError, AssertionError) as error:
            sys.stderr.write(f"{error}\n")
            return 2


def _ask(wanted: argparse.Namespace, before: Checkout, after: Checkout, folder: Path) -> list[bool]:
    questions: Mapping[str, Callable[[], bool]] = {
        "replay": lambda: compare_replay(before, after, folder, frozenset(wanted.allow)),
        "cost": lambda: compare_cost(before, after),
        "speed": lambda: compare_speed(before, after, folder, wanted.pairs),
    }
    return [ask() for name, ask in questions.items() if name in (wanted.only or questions)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("tests.compare", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("before", metavar="BEFORE", help="a commit")
    parser.add_argument("after", metavar="AFTER", help="another one")
    parser.add_argument("--only", action="append", choices=QUESTIONS, help="one question; again for another one")
    parser.add_argument(
        "--allow",
        type=lambda text: text.split(","),
        default=[],
        metavar="NAMES",
        help="fields of replay's lines that may differ, such as window,late; the word order lets lines change places",
    )
    parser.add_argument("--pairs", type=int, default=PAIRS, help="of runs that are timed")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
