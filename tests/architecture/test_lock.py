"""The lock file pins whatever is installed, in a year as today."""

from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCK = Path(__file__).parents[2] / "requirements.lock"


def test_extras_that_a_package_asks_for_are_pinned_too() -> None:
    """Else pip takes the newest version for the extra, finds that it is not the pinned one, and gives up."""
    lines = (line.removesuffix("\\") for line in LOCK.read_text().splitlines() if line[:1].isalnum())
    pinned = {canonicalize_name(each.name): each.extras for each in map(Requirement, lines)}
    wanted = [
        (canonicalize_name(required.name), required.extras)
        for installed in distributions()
        if canonicalize_name(installed.name) in pinned
        for required in map(Requirement, installed.requires or ())
        if required.extras and (required.marker is None or required.marker.evaluate({"extra": ""}))
    ]
    assert wanted
    assert [(name, extras) for name, extras in wanted if not extras <= pinned[name]] == []
