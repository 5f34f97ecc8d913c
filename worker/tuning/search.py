"""The search: stage by stage, the fastest that agrees goes on to the next."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from worker.domain.errors import SettingsError
from worker.tuning.agreement import Agreement
from worker.tuning.candidates import Room, by_others, by_torch, decoders, every, shares
from worker.tuning.groups import Choice

MARGIN: Final = 1.02
"""How much faster something must be than what is in place already: less is within what a machine differs by itself."""


@dataclass(frozen=True, slots=True)
class Tried:
    """One choice, and what came of it.

    Attributes:
        stage: in which it was tried.
        settings: the choice; what it does not name is as the user or the default has it.
        frames_per_second: the median of its rounds; None if it was not measured.
        agreement: with the reference; None if it did not run.
        why_not: what speaks against it, apart from its speed; None if nothing does.
        ahead: whether it was faster than what is in place in every round.
    """

    stage: str
    settings: Choice
    frames_per_second: float | None = None
    agreement: Agreement | None = None
    why_not: str | None = None
    ahead: bool = True


@dataclass(frozen=True, slots=True)
class Stage:
    """One question.

    Attributes:
        name: the question.
        candidates: follow from what there is to choose from and one of the best so far.
        keep: engines that go on, each with its best.
        model_alone: whether only the model is timed, or the whole way of a frame.
    """

    name: str
    candidates: Callable[[Room, Choice], Iterable[Choice]]
    keep: int = 1
    model_alone: bool = False


Race = Callable[[Stage, Sequence[Choice]], Sequence[Tried]]
"""Measures candidates against each other, and says of each what came of it, in their order."""

STAGES: Final = (
    Stage("torch", by_torch, model_alone=True),
    Stage("engine", by_others, keep=2, model_alone=True),
    Stage("preparation", every("model.preparation"), keep=2),
    Stage("streams", shares),
    Stage("batch", every("window.max_frames")),
    Stage("decoding", decoders),
)
"""From what matters most to what matters least."""
RESULT: Final = Stage("result", lambda _, best: [best])
"""The best, against what the worker does without a profile."""


@dataclass(frozen=True, slots=True)
class Found:
    """What came out.

    Attributes:
        settings: the best; none if nothing is faster than what the worker does without a profile.
        frames_per_second: with them.
        untuned: frames a second without a profile; None if that does not run, or does not agree.
        tried: everything, in order.
    """

    settings: Choice
    frames_per_second: float
    untuned: float | None
    tried: Sequence[Tried]


def search(room: Room, race: Race) -> Found:
    """Find the fastest choice that agrees with the reference.

    Raises:
        SettingsError: none does.
    """
    best: Sequence[Choice] = [room.beginning()]
    tried = list[Tried]()
    for stage in STAGES:
        candidates = _unique([*best, *(each for one in best for each in stage.candidates(room, one))])
        if len(candidates) > stage.keep:
            ended = race(stage, candidates)
            tried += ended
            best = [each.settings for each in fastest(ended, stage.keep)] or best
    ended = race(RESULT, [{}, best[0]])
    tried += ended
    ranked = fastest(ended, 1)
    if not ranked or ranked[0].frames_per_second is None:
        allow = "allow more with --max-difference and --min-agreement, or set less of model.* yourself"
        told = dict.fromkeys(f"{each.stage}: {each.why_not}" for each in tried if each.why_not)
        raise SettingsError([f"nothing that was tried agrees with the reference: {allow}", *told])
    return Found(ranked[0].settings, ranked[0].frames_per_second, ended[0].frames_per_second, tried)


def fastest(tried: Sequence[Tried], keep: int) -> list[Tried]:
    """Return the fastest that nothing speaks against, one for each of the fastest engines.

    The first that was tried is in place, and has to be beaten by a margin and in every round: a median alone can be the
    luck of a minute in which the machine was slow.

    Args:
        tried: in one race.
        keep: engines that go on.
    """

    def rank(each: Tried) -> tuple[bool, float]:
        in_place = each is tried[0]
        return in_place or each.ahead, (each.frames_per_second or 0) * (MARGIN if in_place else 1)

    agree = sorted((each for each in tried if each.why_not is None), key=rank)
    by_engine = {each.settings.get("model.engine"): each for each in agree}
    return sorted(by_engine.values(), key=rank, reverse=True)[:keep]


def _unique(choices: Iterable[Choice]) -> list[Choice]:
    found = list[Choice]()
    for choice in choices:
        if choice not in found:
            found.append(choice)
    return found
