"""What suits this machine, for the settings that are `auto`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from worker.models.container import cores
from worker.models.engine_choice import EngineChoice, choose_engine
from worker.models.manifest import Manifest
from worker.settings.model import MOST_STREAMS
from worker.settings.offline import Choice, Groups
from worker.settings.window import MOST_FRAMES, USUAL_FRAMES

FRAMES_A_STREAM: Final = 16
"""In a batch at least: two full parts of a stream of one thread."""


@dataclass(frozen=True, slots=True)
class Suited:
    """Settings without `auto`.

    Attributes:
        groups: the settings.
        chosen: the values of those that were `auto`, by their full names.
        why: why this engine was chosen, for people; empty if the settings name one.
    """

    groups: Groups
    chosen: Choice
    why: str = ""

    def __str__(self) -> str:
        shown = ", ".join(f"{name}={value}" for name, value in self.chosen.items())
        return f"{shown} ({self.why})" if self.why else shown


def suited(groups: Groups, manifest: Manifest, *, comparing: Callable[[str], None] = lambda _: None) -> Suited:
    """Choose for this machine what the settings leave open.

    Args:
        groups: the settings.
        manifest: of the model that they name.
        comparing: is told when engines are compared, which takes some seconds.

    Raises:
        ModelUnavailable: there is no such device.
    """
    numbers = suited_numbers(groups, cores=cores())
    groups = groups.updated_by(numbers)
    if groups.model.engine != "auto":
        return Suited(groups, numbers)
    if groups.sampling.gap == "shorten":
        choice = EngineChoice("eager", "sampling.gap: shorten needs it")
    else:
        choice = choose_engine(manifest, groups.model, comparing=comparing)
    engine = {"model.engine": choice.engine}
    return Suited(groups.updated_by(engine), {**engine, **numbers}, choice.why)


def suited_numbers(groups: Groups, *, cores: int) -> Choice:
    """Return the numbers for the settings that are `auto`.

    A CPU has a stream for each core: more frames are done, although a frame alone takes longer. A GPU takes a batch as
    a whole.

    Args:
        groups: the settings.
        cores: number of cores that this process may use.
    """
    model, found = groups.model, dict[str, int]()
    if model.streams == "auto":
        found["model.streams"] = min(model.threads or cores, cores, MOST_STREAMS) if model.device == "cpu" else 1
    streams = found.get("model.streams", model.streams_or_one)
    if groups.window.max_frames == "auto":
        found["window.max_frames"] = min(max(USUAL_FRAMES, FRAMES_A_STREAM * streams), MOST_FRAMES)
    return found
