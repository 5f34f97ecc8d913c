"""The hidden states of a recurrent model: each camera's frames go through the RNN in the order of their offsets.

The model's threads have computed each frame's features, in any order. The RNN is run when results are staged, because
only then is it known which frames come next of each camera. So a state moves on with the publication that includes its
frames, or not at all.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from worker.domain.errors import WorkerError
from worker.domain.extents import recency
from worker.domain.frames import GroundTruth
from worker.domain.results import (
    AnyVerdict,
    DeadLetter,
    Features,
    ModelIdentity,
    Outcome,
    Prediction,
    SequenceClassification,
)
from worker.domain.samples import Skipped
from worker.domain.sequences import DroppedState, HiddenState, Place, SequenceRules
from worker.domain.tallies import TallyKey
from worker.ports import Recurrent, Saved, Staged

Judge = Callable[[Any, GroundTruth], AnyVerdict | None]
_FLOAT32 = np.dtype("<f4")


class _Step(NamedTuple):
    """A frame that goes through the RNN.

    Attributes:
        number: of its outcome.
        steps: frames that the state will include, this one included; with 1, it begins anew.
    """

    number: int
    prediction: Prediction
    features: NDArray[np.float32]
    steps: int


class HiddenStates:
    """The current hidden state of every camera of one partition; implements `ports.PartitionState`.

    Args:
        model: whose states they are; those of others are left alone.
        recurrent: goes one frame on.
        rules: which frames are taken.
        judge: compares a result with a label.
    """

    def __init__(self, model: ModelIdentity, recurrent: Recurrent, rules: SequenceRules, judge: Judge) -> None:
        self._model = model
        self._recurrent = recurrent
        self._rules = rules
        self._judge = judge
        self._states: dict[str, HiddenState] = {}  # the camera that was heard longest ago comes first
        self._former: Sequence[DroppedState] = ()
        self._topic_id: str | None = None

    def __len__(self) -> int:
        """Count the cameras whose state is kept."""
        return len(self._states)

    def restore(self, saved: Sequence[Saved], *, former: Sequence[Saved] = (), topic_id: str | None = None) -> None:
        """Take over what was last published of this model; of two states of a camera the one that includes more.

        Raises:
            StateUnusable: a state does not have as many numbers as the model remembers.
        """
        mine = [each for each in saved if isinstance(each, HiddenState) and each.key.model == self._model]
        by_camera = {each.key: each for each in sorted(mine, key=lambda each: recency(each.topic_id, each.next_offset))}
        for state in sorted(by_camera.values(), key=lambda each: each.next_offset):
            found, size = len(state.numbers) // _FLOAT32.itemsize, self._recurrent.state_size
            if found != size:
                raise StateUnusable(
                    f"the saved hidden state of camera {state.key.camera!r} of {state.key.partition} has {found} "
                    f"numbers, and {self._model} remembers {size}: something else has written it; delete its record "
                    f"from the state topic, with a tombstone for its key"
                )
            self._keep(state)
        kept = {each.key for each in saved if isinstance(each, HiddenState)}
        gone = dict.fromkeys(each.key for each in former if isinstance(each, HiddenState))
        self._former = [DroppedState(key) for key in gone if key not in kept]
        self._topic_id = topic_id

    def stage(self, outcomes: Sequence[Outcome], *, committed: int) -> Staged:
        """Return the outcomes with classes for features, and the states as they will be once these are delivered.

        A frame that does not go on from its camera's state is skipped. Nothing is remembered until `settle`.

        Raises:
            ModelFailed: the RNN raised.
            ModelContractBroken: the scores are not finite.
        """
        final, places, sequences = list(outcomes), dict[str, Place](), dict[str, list[_Step]]()
        for index, outcome in enumerate(outcomes):
            last = places.get(outcome.camera) or self._place(outcome.camera)
            match outcome:
                case Prediction(result=Features(values=values), frame=frame):
                    reason = self._rules.why_skipped(last, frame.position.offset, frame.captured_at) if last else None
                    if reason is None:
                        place = places[frame.camera] = self._rules.next_place(last, frame.position, frame.captured_at)
                        sequences.setdefault(frame.camera, []).append(_Step(index, outcome, values, place.steps))
                    else:
                        final[index] = Skipped(frame, reason)
                case DeadLetter(camera=camera, position=position, captured_at=at) if at is not None:
                    if self._rules.fills_slot(last, position, at):
                        places[camera] = self._rules.next_place(last, position, at, is_damaged=True)
        numbers = self._run(sequences, final)
        partition = outcomes[0].position.partition
        kept = [
            HiddenState(
                TallyKey(partition, camera, self._model), place, self._numbers(camera, place, numbers), self._topic_id
            )
            for camera, place in places.items()
        ]
        return Staged(final, [*self._former, *kept, *self._over(committed, but_not=places)])

    def settle(self, saved: Sequence[Any]) -> None:
        """Remember states whose records the broker has confirmed."""
        self._former = ()
        for each in saved:
            if isinstance(each, HiddenState):
                self._keep(each)
            elif (state := self._states.get(each.key.camera)) is not None and state.key == each.key:
                del self._states[each.key.camera]

    def _run(self, sequences: Mapping[str, Sequence[_Step]], final: list[Outcome]) -> Mapping[str, NDArray[np.float32]]:
        """Run the RNN, and write the results; return the numbers that each camera's state has then.

        Cameras go on together: round n is the n-th frame of each.
        """
        numbers, scores, scored = dict[str, NDArray[np.float32]](), list[NDArray[np.float32]](), list[_Step]()
        for number in range(max(map(len, sequences.values()), default=0)):
            steps = {camera: each[number] for camera, each in sequences.items() if number < len(each)}
            before = [self._before(camera, step, numbers) for camera, step in steps.items()]
            stepped = self._recurrent.step(np.stack([step.features for step in steps.values()]), np.stack(before))
            numbers.update(zip(steps, stepped.states, strict=True))
            scores.append(stepped.scores)
            scored += steps.values()
        if scored:
            results = self._recurrent.classify(np.concatenate(scores))
            for step, found in zip(scored, results, strict=True):
                result = SequenceClassification(found.classes, found.ranking, step.steps)
                verdict = self._judge(result, GroundTruth(step.prediction.label))
                final[step.number] = replace(step.prediction, result=result, verdict=verdict)
        return numbers

    def _before(self, camera: str, step: _Step, numbers: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        if step.steps == 1:
            return np.zeros(self._recurrent.state_size, np.float32)
        if camera in numbers:
            return numbers[camera]
        return np.frombuffer(self._states[camera].numbers, _FLOAT32)

    def _numbers(self, camera: str, place: Place, numbers: Mapping[str, NDArray[np.float32]]) -> bytes:
        if place.steps == 0:
            return bytes(self._recurrent.state_size * _FLOAT32.itemsize)
        if camera in numbers:
            return numbers[camera].astype(_FLOAT32).tobytes()
        return self._states[camera].numbers

    def _place(self, camera: str) -> Place | None:
        state = self._states.get(camera)
        return state.place if state else None

    def _over(self, committed: int, *, but_not: Collection[str]) -> list[DroppedState]:
        """Find the states that no frame goes on from that may still be read."""
        over = []
        for camera, state in self._states.items():
            if not self._rules.is_over(state.place, committed):
                break
            if camera not in but_not:
                over.append(DroppedState(state.key))
        return over

    def _keep(self, state: HiddenState) -> None:
        self._states.pop(state.key.camera, None)
        self._states[state.key.camera] = state


class StateUnusable(WorkerError):
    """A saved state does not fit the model that it is said to be of."""
