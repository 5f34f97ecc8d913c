"""The search: in each stage, the fastest candidates that agree with the reference advance to the next stage."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from worker.domain.errors import SettingsError
from worker.settings.offline import Choice
from worker.tuning.agreement import Agreement
from worker.tuning.candidates import Room, decoder_counts, other_engines, thread_splits, torch_candidates, values_of

MARGIN: Final = 1.02
"""How much faster a candidate must be than the current settings: a smaller gain is within a machine's own variation."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One candidate and its result.

    Attributes:
        stage: name of the stage that measured it.
        settings: the candidate's settings; all others are the user's or the defaults.
        frames_per_second: median of its rounds; None if it was not measured.
        agreement: its agreement with the reference; None if it did not run.
        why_not: why it cannot be chosen, apart from its speed; None if it can.
        ahead: whether it was faster than the current settings in every round.
    """

    stage: str
    settings: Choice
    frames_per_second: float | None = None
    agreement: Agreement | None = None
    why_not: str | None = None
    ahead: bool = True


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the search.

    Attributes:
        name: the stage's name.
        candidates: returns the candidates, given the search space and one of the best so far.
        keep: number of engines that advance, each with its best candidate.
        model_alone: whether only the model is measured, or the whole worker.
    """

    name: str
    candidates: Callable[[Room, Choice], Iterable[Choice]]
    keep: int = 1
    model_alone: bool = False


Race = Callable[[Stage, Sequence[Choice]], Sequence[Tried]]
"""Measures candidates and returns their results in the same order."""

STAGES: Final = (
    Stage("torch", torch_candidates, model_alone=True),
    Stage("engine", other_engines, keep=2, model_alone=True),
    Stage("preparation", values_of("model.preparation"), keep=2),
    Stage("streams", thread_splits),
    Stage("batch", values_of("window.max_frames")),
    Stage("decoding", decoder_counts),
)
"""In order of their effect on speed, largest first."""
RESULT: Final = Stage("result", lambda _, best: [best])
"""Compares the best candidate with the worker without a profile."""


@dataclass(frozen=True, slots=True)
class Found:
    """The result of the search.

    Attributes:
        settings: the best settings; empty if none is faster than the worker without a profile.
        frames_per_second: speed with these settings.
        untuned: frames per second without a profile; None if that does not run, or does not agree.
        tried: all results, in order.
    """

    settings: Choice
    frames_per_second: float
    untuned: float | None
    tried: Sequence[Tried]


def search(room: Room, race: Race) -> Found:
    """Find the fastest settings that agree with the reference.

    Raises:
        SettingsError: no candidate agrees.
    """
    best: Sequence[Choice] = [room.initial()]
    tried = list[Tried]()
    for stage in STAGES:
        candidates = _unique([*best, *(each for one in best for each in stage.candidates(room, one))])
        if len(candidates) > stage.keep:
            results = race(stage, candidates)
            tried += results
            best = [each.settings for each in fastest(results, stage.keep)] or best
    results = race(RESULT, [{}, best[0]])
    tried += results
    ranked = fastest(results, 1)
    if not ranked or ranked[0].frames_per_second is None:
        advice = "allow more difference with --max-difference and --min-agreement, or set fewer model.* settings"
        reasons = dict.fromkeys(f"{each.stage}: {each.why_not}" for each in tried if each.why_not)
        raise SettingsError([f"no candidate agrees with the reference: {advice}", *reasons])
    return Found(ranked[0].settings, ranked[0].frames_per_second, results[0].frames_per_second, tried)


def fastest(tried: Sequence[Tried], keep: int) -> list[Tried]:
    """Return the fastest valid candidates, one for each of the fastest engines.

    The first candidate is the current settings. Another one must be faster by a margin and in every round: a better
    median alone may only mean that the machine was slow for a minute.

    Args:
        tried: the results of one race.
        keep: number of engines that advance.
    """

    def rank(each: Tried) -> tuple[bool, float]:
        is_current = each is tried[0]
        return is_current or each.ahead, (each.frames_per_second or 0) * (MARGIN if is_current else 1)

    valid = sorted((each for each in tried if each.why_not is None), key=rank)
    by_engine = {each.settings.get("model.engine"): each for each in valid}
    return sorted(by_engine.values(), key=rank, reverse=True)[:keep]


def _unique(choices: Iterable[Choice]) -> list[Choice]:
    found = list[Choice]()
    for choice in choices:
        if choice not in found:
            found.append(choice)
    return found
