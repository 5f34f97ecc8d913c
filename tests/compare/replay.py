"""Does `replay` print the same lines? Over pictures of several cameras, the same as one camera, and a video."""

import sys
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from tests.compare.checkout import REPOSITORY, Checkout
from tests.compare.inputs import write_pictures
from tests.compare.lines import Comparison, compare_lines
from worker.local.samples import fetch_video
from worker.models.ready import ready_model

KEPT: Final = REPOSITORY / "build" / "compare"
"""Where the lines of both are kept, as they were printed."""

_DIFFERENCES: Final = 3  # shown of each input


def compare_replay(before: Checkout, after: Checkout, folder: Path, allowed: frozenset[str]) -> bool:
    """Replay each input at both commits, and say what differs.

    Args:
        before: a commit.
        after: another one.
        folder: for the pictures.
        allowed: names of fields that may differ, and `order`.

    Returns:
        Whether nothing else differs.

    Raises:
        CommandFailed: a replay ended with an error.
    """
    KEPT.mkdir(parents=True, exist_ok=True)
    equal = [_compare(name, options, before, after, allowed) for name, options in _inputs(folder / "pictures").items()]
    return all(equal)


def _inputs(pictures: Path) -> Mapping[str, Sequence[str | Path]]:
    """Return the arguments of `replay` for each input."""
    model: Sequence[str | Path] = ["--model", ready_model("mobilenet_v2")]
    recorded = [pictures, "--labels", write_pictures(pictures), *model]
    return {"cameras": recorded, "desk": [*recorded, "--camera", "desk"], "video": [fetch_video("bikes"), *model]}


def _compare(
    name: str, options: Sequence[str | Path], before: Checkout, after: Checkout, allowed: frozenset[str]
) -> bool:
    old, new = (_replay(name, options, checkout) for checkout in (before, after))
    found = compare_lines(old, new, allowed)
    sys.stdout.write(f"replay of {name}: {summary(found, allowed)}\n")
    sys.stdout.flush()
    return not found.different


def _replay(name: str, options: Sequence[str | Path], checkout: Checkout) -> Sequence[str]:
    printed = checkout.python("-m", "worker", "replay", *options)
    (KEPT / f"{name}-{checkout.role}.jsonl").write_text(printed, encoding="utf-8")
    return printed.split("\n")[:-1]  # a JSON text may hold what `splitlines` takes for the end of a line


def summary(found: Comparison, allowed: frozenset[str]) -> str:
    """Say how many lines there are and whether they are equal, and show the first differences."""
    counts = list(dict.fromkeys([_counts(found.before), _counts(found.after)]))
    verdict = f"{len(found.different)} lines differ" if found.different else "equal"
    text = [f"{' before, '.join(counts)}{' after' if len(counts) > 1 else ''}: {verdict}"]
    if allowed:
        text.append(f"{found.allowed} lines differ only by {', '.join(sorted(allowed))}")
    if found.different:
        text.append("fields that differ: " + ", ".join(f"{path} ({lines})" for path, lines in found.fields().items()))
    every = ((number, each) for number, differences in found.different.items() for each in differences)
    text += [f"line {number}: {each}" for number, each in islice(every, _DIFFERENCES)]
    return "\n".join(text).replace("\n", "\n  ")


def _counts(kinds: Mapping[str, int]) -> str:
    names = {"prediction": "predictions", "dead_letter": "dead letters", "accuracy": "tallies"}
    return f"{sum(kinds.values())} lines ({', '.join(f'{name} {kinds.get(kind, 0)}' for kind, name in names.items())})"
