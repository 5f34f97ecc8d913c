"""The search: candidates are compared in pairs with the best so far, and those that are behind drop out.

The many candidates of a stage meet in successive halving (Jamieson and Talwalkar, Non-stochastic Best Arm
Identification and Hyperparameter Optimization, 2016): all get a few pairs, the better half gets twice as many, and so
on. The best few go on to the next stage. In the final, each is compared until the difference is clear.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final, NamedTuple, Protocol

from worker.domain.errors import SettingsError
from worker.settings.offline import Choice
from worker.tuning.agreement import Agreement
from worker.tuning.candidates import (
    Room,
    complexity,
    decoder_counts,
    other_engines,
    thread_splits,
    torch_candidates,
    values_of,
)
from worker.tuning.pairs import EQUAL, LEAST, MOST, SAME, Pair, Ratio, Run, add_pairs, ratio_of

FIRST_LEAST: Final = 4
FIRST_MOST: Final = 12
"""Fewest and most pairs of a candidate in the first round of a stage: it gets more if they vary."""
FINALISTS: Final = 2
"""Candidates that go from stage to stage, and into the final."""

_FIRST_TIME, _FINAL_TIME = 3, 40
"""The longest that a candidate is measured in the first round, and in the final, as multiples of `seconds`."""


class Judged(NamedTuple):
    """Whether a candidate may be chosen.

    Attributes:
        agreement: with the reference; None if the candidate does not run.
        why_not: why it cannot be chosen, apart from its speed; None if it can.
    """

    agreement: Agreement | None
    why_not: str | None


@dataclass(frozen=True, slots=True)
class Tried:
    """One candidate and its result.

    Attributes:
        stage: name of the stage that measured it.
        settings: the candidate's settings; all others are the user's or the defaults.
        frames_per_second: median of its runs; None if it was not measured.
        ratio: how many times as fast as the first candidate of the stage; None if it was not measured.
        pairs: number of pairs that it was measured in.
        agreement: its agreement with the reference; None if it did not run.
        why_not: why it cannot be chosen, apart from its speed; None if it can.
        note: in the final, what became of it.
    """

    stage: str
    settings: Choice
    frames_per_second: float | None = None
    ratio: Ratio | None = None
    pairs: int = 0
    agreement: Agreement | None = None
    why_not: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the search.

    Attributes:
        name: the stage's name.
        candidates: returns the candidates, given the search space and one of the best so far.
        keep: number of candidates that go on.
        model_alone: whether only the model is measured, or the whole worker.
    """

    name: str
    candidates: Callable[[Room, Choice], Iterable[Choice]]
    keep: int = FINALISTS
    model_alone: bool = False


class Machine(Protocol):
    """Runs candidates: this machine, or one that a test makes up."""

    def judge(self, choice: Choice, *, thorough: bool) -> Judged:
        """Compare a candidate's answers with the reference's.

        Args:
            choice: the candidate.
            thorough: also if another one has answered that differs only in threads, streams or batches.
        """

    def run(self, stage: Stage, choice: Choice) -> Run:
        """Run a candidate for a short time; it was judged before, and runs."""


STAGES: Final = (
    Stage("torch", torch_candidates, keep=1, model_alone=True),
    Stage("engine", other_engines, keep=2, model_alone=True),
    Stage("streams", thread_splits),
    Stage("preparation", values_of("model.preparation")),
    Stage("decoding", decoder_counts),
    Stage("batch", values_of("window.max_frames")),
)
"""What depends on what else runs on the cores is measured in the whole worker. So is the choice between engines, once
each has a good precision."""
FINAL: Final = Stage("final", lambda _, best: [best], keep=1)
"""The best candidates and the worker as it is without a profile."""


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


@dataclass(slots=True)
class _Entrant:
    """A candidate, and what was measured of it so far in one stage."""

    choice: Choice
    judged: Judged
    pairs: Sequence[Pair] = ()
    rates: list[float] = field(default_factory=list)
    champion: float = 1.0
    """How many times as fast as the first of the stage the candidate is that this one meets."""

    @property
    def lead(self) -> Ratio:
        """How many times as fast it is as the candidate that it has met; the first of a stage meets nobody."""
        return ratio_of(self.pairs) if self.pairs else SAME

    @property
    def ratio(self) -> Ratio:
        """How many times as fast as the first of the stage it is."""
        return Ratio(*(each * self.champion for each in self.lead))


@dataclass(frozen=True, slots=True)
class _Contest:
    """One stage on one machine."""

    machine: Machine
    stage: Stage

    def enter(self, choice: Choice) -> _Entrant:
        """Judge a candidate."""
        return _Entrant(choice, self.machine.judge(choice, thorough=self.stage is FINAL))

    def meet(self, one: _Entrant, champion: _Entrant, *, up_to: int, seconds: float) -> None:
        """Measure pairs of two candidates that run."""
        is_final = self.stage is FINAL
        one.pairs = add_pairs(
            one.pairs,
            lambda: self._run(one),
            lambda: self._run(champion),
            at_least=LEAST if is_final else FIRST_LEAST,
            up_to=up_to,
            seconds=seconds,
            enough=Ratio.is_certain if is_final else Ratio.ranks,
        )

    def result(self, entrant: _Entrant, note: str = "") -> Tried:
        """Return what is told of a candidate; one that met nobody runs now."""
        agreement, why_not = entrant.judged
        if agreement is not None and not entrant.rates:
            self._run(entrant)
        return Tried(
            self.stage.name,
            entrant.choice,
            frames_per_second=median(entrant.rates) if entrant.rates else None,
            ratio=entrant.ratio if entrant.rates else None,
            pairs=len(entrant.pairs),
            agreement=agreement,
            why_not=why_not,
            note=note,
        )

    def _run(self, entrant: _Entrant) -> Run:
        run = self.machine.run(self.stage, entrant.choice)
        entrant.rates.append(run.per_second)
        return run


def search(
    room: Room, machine: Machine, *, seconds: float, tell: Callable[[Sequence[Tried]], None] = lambda _: None
) -> Found:
    """Find the fastest settings that agree with the reference.

    Args:
        room: what there is to choose from.
        machine: runs the candidates.
        seconds: time in which a candidate of a stage gets its first pairs; more if they vary, or one takes longer.
        tell: gets the results of each stage.

    Raises:
        SettingsError: no candidate agrees.
    """
    best: Sequence[Choice] = [room.initial()]
    tried = list[Tried]()
    for stage in STAGES:
        candidates = unique([*best, *(each for one in best for each in stage.candidates(room, one))])
        if len(candidates) > len(best):
            results, fastest = halve(machine, stage, candidates, seconds=seconds)
            tell(results)
            tried += results
            best = fastest or best
    results, chosen = play_final(machine, room, unique([{}, *best]), seconds=seconds)
    tell(results)
    tried += results
    if chosen is None:
        advice = "allow more difference with --max-difference and --min-agreement, or set fewer model.* settings"
        reasons = dict.fromkeys(f"{each.stage}: {each.why_not}" for each in tried if each.why_not)
        raise SettingsError([f"no candidate agrees with the reference: {advice}", *reasons])
    speed, gain = chosen.frames_per_second or 0.0, chosen.ratio.middle if chosen.ratio else 1.0
    return Found(chosen.settings, speed, speed / gain if results[0].why_not is None else None, tried)


def halve(
    machine: Machine, stage: Stage, candidates: Sequence[Choice], *, seconds: float
) -> tuple[Sequence[Tried], Sequence[Choice]]:
    """Let candidates meet the first of them that runs; the better half goes on with twice as many pairs, and so on.

    Args:
        machine: runs the candidates.
        stage: what they are candidates for.
        candidates: the best so far is the first.
        seconds: time in which a candidate gets its first pairs.

    Returns:
        All results in the order of the candidates, and the best candidates, the fastest first.
    """
    contest = _Contest(machine, stage)
    entrants, champion = list[_Entrant](), None
    pairs, seconds = FIRST_MOST, _FIRST_TIME * seconds
    for choice in candidates:  # each meets the champion before the next is loaded
        entrant = contest.enter(choice)
        entrants.append(entrant)
        if entrant.judged.agreement is not None:
            if champion is None:
                champion = entrant
            else:
                contest.meet(entrant, champion, up_to=pairs, seconds=seconds)
    ahead = _fastest([each for each in entrants if each.judged.why_not is None])
    while champion is not None and len(ahead) > stage.keep:
        half = max(stage.keep, math.ceil(len(ahead) / 2))
        if half > stage.keep or pairs > FIRST_MOST:
            ahead = ahead[:half]
        if len(ahead) > stage.keep:
            pairs, seconds = 2 * pairs, 2 * seconds
            for each in ahead:
                if each is not champion:
                    contest.meet(each, champion, up_to=pairs, seconds=seconds)
            ahead = _fastest(ahead)
    return [contest.result(each) for each in entrants], [each.choice for each in ahead]


def play_final(
    machine: Machine, room: Room, candidates: Sequence[Choice], *, seconds: float
) -> tuple[Sequence[Tried], Tried | None]:
    """Compare the best until each difference is clear, and choose the simplest of those that equal the fastest.

    Args:
        machine: runs the candidates.
        room: says what is simple.
        candidates: the worker without a profile is the first.
        seconds: time in which a candidate of a stage gets its first pairs.

    Returns:
        All results in the order of the candidates, with ratios to the first that can be chosen; and the chosen one,
        None if none can be chosen.
    """
    contest = _Contest(machine, FINAL)
    entrants = [contest.enter(each) for each in candidates]
    equals = list[_Entrant]()
    for each in entrants:
        if each.judged.why_not is not None:
            continue
        if equals:
            each.champion = equals[0].ratio.middle
            contest.meet(each, equals[0], up_to=MOST, seconds=_FINAL_TIME * seconds)
        if each.lead.verdict == "faster":
            equals = []
        if each.lead.verdict != "slower":
            equals.append(each)
    chosen = min(equals, key=lambda each: complexity(room, each.choice), default=None)
    notes = {id(each): f"as fast as the fastest within {EQUAL - 1:.0%}, and less simple" for each in equals}
    if chosen is not None:
        why = "the fastest" if len(equals) == 1 else f"the simplest of those within {EQUAL - 1:.0%} of the fastest"
        notes[id(chosen)] = why
    results = [contest.result(each, notes.get(id(each), "")) for each in entrants]
    return results, None if chosen is None else results[entrants.index(chosen)]


def _fastest(entrants: Iterable[_Entrant]) -> list[_Entrant]:
    return sorted(entrants, key=lambda each: -each.ratio.middle)


def unique(choices: Iterable[Choice]) -> list[Choice]:
    """Return each choice once, in the order of its first place."""
    found = list[Choice]()
    for choice in choices:
        if choice not in found:
            found.append(choice)
    return found
