"""The hidden states of a partition: which frames go on from them, and when they begin anew."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.colours import COLOURS, ColourModel
from tests.support.frames import FRAMES, a_frame, a_prediction
from tests.support.recurrent import NAMES, Halving, Rules, Said, Seen, sequences_by_hand
from worker.domain.errors import FrameRejected, Reason
from worker.domain.results import (
    Features,
    ModelIdentity,
    Outcome,
    Prediction,
    SequenceClassification,
    Verdict,
    dead_letter,
)
from worker.domain.samples import Skipped
from worker.domain.sequences import DroppedState, HiddenState, Place
from worker.domain.tallies import Tally, TallyKey
from worker.domain.times import EventMillis
from worker.state.hidden import HiddenStates, StateUnusable

MODEL = ColourModel.identity


def outcome(seen: Seen, label: str | None = None) -> Outcome:
    encoded = a_frame(seen.offset, captured_at=seen.at, camera=seen.camera, label=label)
    if seen.colour is None:
        frame = encoded.frame
        return dead_letter(
            encoded.record,
            stage="decode",
            error=FrameRejected(Reason.TRUNCATED, "cut"),
            arrived_at=frame.arrived_at,
            camera=frame.camera,
            captured_at=frame.captured_at,
        )
    row = np.eye(len(NAMES), dtype=np.float32)[NAMES.index(seen.colour)]
    return replace(a_prediction(encoded, model=MODEL), result=Features(row))


def red(offset: int, at: int, camera: str = "cam-1") -> Seen:
    return Seen(offset, camera, at, "red")


def said(outcomes: Sequence[Outcome]) -> dict[int, Said]:
    found = {}
    for each in outcomes:
        match each:
            case Prediction(result=SequenceClassification() as result):
                shares = {scored.name: scored.probability for scored in result.classes}
                found[each.position.offset] = Said(result.steps, tuple(shares[name] for name in NAMES))
            case Skipped():
                found[each.position.offset] = Said(skipped=each.reason)
            case _:
                found[each.position.offset] = Said()
    return found


def run(states: HiddenStates, *frames: Seen, committed: int = 0) -> list[HiddenState | DroppedState]:
    """Stage and settle; return what is saved."""
    staged = states.stage([outcome(each) for each in frames], committed=committed)
    states.settle(staged.saved)
    return [each for each in staged.saved if isinstance(each, HiddenState | DroppedState)]


def steps(states: HiddenStates, *frames: Seen) -> list[int | str]:
    """Stage and settle; return the steps of predictions, and the reasons of skipped frames."""
    staged = states.stage([outcome(each) for each in frames], committed=0)
    states.settle(staged.saved)
    return [each.skipped or each.steps for each in said(staged.outcomes).values()]


def test_each_frame_goes_on_from_the_one_before() -> None:
    frames = [Seen(0, "cam-1", 0, "red"), Seen(1, "cam-1", 40, "blue"), Seen(2, "cam-1", 80, "blue")]
    staged = Rules().make_hidden()().stage([outcome(each, label="blue") for each in frames], committed=0)

    assert said(staged.outcomes) == sequences_by_hand(frames, Rules())
    assert said(staged.outcomes)[2] == Said(3, (0.125, 0.0, 0.75, 0.0, 0.0))
    assert [each.verdict for each in staged.outcomes if isinstance(each, Prediction)] == [
        Verdict(top1=False, top5=True),
        Verdict(top1=True, top5=True),
        Verdict(top1=True, top5=True),
    ]
    (saved,) = staged.saved
    assert isinstance(saved, HiddenState)
    assert saved.place == Place(3, EventMillis(80), next_offset=3)
    assert np.frombuffer(saved.numbers, "<f4").tolist() == [0.125, 0.0, 0.75, 0.0, 0.0]


def test_nothing_is_remembered_before_it_is_settled() -> None:
    states = Rules().make_hidden()()
    staged = [states.stage([outcome(red(0, 0))], committed=0) for _ in range(2)]
    assert staged[0].saved == staged[1].saved

    states.settle(staged[0].saved)
    assert steps(states, red(1, 40)) == [2]


def test_cameras_take_their_steps_together_and_do_not_see_each_other() -> None:
    recurrent = Halving()
    frames = [red(0, 0), Seen(1, "cam-2", 0, "blue"), red(2, 40), red(3, 80), Seen(4, "cam-2", 40, "blue")]
    staged = Rules().make_hidden(recurrent)().stage([outcome(each) for each in frames], committed=0)

    assert recurrent.rounds == [2, 2, 1]
    assert said(staged.outcomes) == sequences_by_hand(frames, Rules())


def test_a_frame_that_was_published_before_is_no_second_prediction() -> None:
    rules, frames = Rules(), [red(0, 0), red(1, 40), red(2, 80)]
    saved = run(rules.make_hidden()(), *frames[:2])
    after = rules.make_hidden()()
    after.restore([each for each in saved if isinstance(each, HiddenState)])

    assert steps(after, *frames) == ["published-before", "published-before", 3]


def test_of_two_saved_states_the_one_that_includes_more_is_restored_and_other_models_are_left_alone() -> None:
    key, other = (TallyKey(FRAMES, "cam-1", each) for each in (MODEL, ModelIdentity("colours", "0" * 12)))
    numbers = bytes(4 * len(NAMES))
    states = Rules().make_hidden()()
    states.restore(
        [
            HiddenState(key, Place(9, EventMillis(90), 9), numbers),
            HiddenState(key, Place(4, EventMillis(40), 4), numbers),
            HiddenState(other, Place(70, EventMillis(90), 70), b""),
            Tally(key, EventMillis(0), next_offset=99),
        ]
    )
    assert steps(states, red(8, 85), red(9, 95)) == ["published-before", 10]


def test_a_state_of_another_size_stops_the_worker() -> None:
    key = TallyKey(FRAMES, "cam-1", MODEL)
    with pytest.raises(StateUnusable, match=r"cam-1.*frames\[0\].*3 numbers.*remembers 5.*tombstone"):
        Rules().make_hidden()().restore([HiddenState(key, Place(1, EventMillis(0), 1), bytes(12))])


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ((0, 1_000, 2_001), [1, 2, 1]),  # silence
        ((5_000, 4_000, 5_000, 5_001), [1, "late", "duplicate", 2]),
        ((5_000, 3_999, 4_100), [1, 1, 2]),  # the clock was set back
    ],
)
def test_capture_times_decide(times: Sequence[int], expected: list[int | str]) -> None:
    frames = [red(offset, at) for offset, at in enumerate(times)]
    together, apart = Rules().make_hidden()(), Rules().make_hidden()()

    assert steps(together, *frames) == expected
    assert [each for frame in frames for each in steps(apart, frame)] == expected


def test_a_state_that_many_frames_of_others_have_followed_is_over() -> None:
    states = Rules(span=3).make_hidden()()
    others = [red(offset, 0, camera=f"cam-{offset}") for offset in (1, 2, 3)]
    run(states, red(0, 0), *others)
    assert steps(states, red(3, 10)) == [2]
    assert steps(states, red(7, 20)) == [1]


def test_states_that_are_over_are_deleted_once_none_of_their_frames_can_be_read_again() -> None:
    states = Rules(span=3).make_hidden()()
    key = TallyKey(FRAMES, "cam-0", MODEL)
    for offset in range(6):
        run(states, red(offset, 0, camera=f"cam-{offset}"), committed=3)
    *_, dropped = run(states, red(6, 0, camera="cam-6"), committed=4)
    assert dropped == DroppedState(key)
    assert run(states, red(7, 0, camera="cam-7"), committed=4)[1:] == []
    assert len(states) == 7


def test_a_camera_that_comes_back_is_not_deleted() -> None:
    states = Rules(span=3).make_hidden()()
    run(states, red(0, 0))
    (saved,) = run(states, red(9, 10), committed=9)
    assert isinstance(saved, HiddenState)
    assert saved.place == Place(1, EventMillis(10), 10)


def test_at_a_rate_a_damaged_frame_fills_its_slot() -> None:
    """The sampler forgets after a restart that it has given a slot's frame; the state does not."""
    rules = Rules(rate=1.0)
    saved = run(rules.make_hidden()(), red(0, 0), Seen(1, "cam-1", 1_000, None))
    after = rules.make_hidden()()
    after.restore([each for each in saved if isinstance(each, HiddenState)])
    assert steps(after, red(2, 1_100), red(3, 2_000)) == ["over-rate", 2]

    fresh = rules.make_hidden()()
    assert steps(fresh, Seen(0, "cam-1", 0, None), red(1, 500), red(2, 1_000)) == [0, "over-rate", 1]


def test_without_a_rate_a_damaged_frame_changes_nothing() -> None:
    assert run(Rules().make_hidden()(), Seen(0, "cam-1", 0, None)) == []


@given(
    st.lists(
        st.builds(
            lambda camera, at, colour: (camera, at, colour),
            st.sampled_from(["cam-1", "cam-2", "cam-3"]),
            st.integers(0, 4_000),
            st.sampled_from([*COLOURS, None]),
        ),
        max_size=40,
    ),
    st.builds(Rules, st.sampled_from([300, 1_000]), st.just(None), st.sampled_from([2, 1_000])),
    st.lists(st.integers(1, 9), min_size=1),
    st.integers(0, 20),
)
def test_against_a_count_by_hand_over_the_whole_history(
    shots: list[tuple[str, int, str | None]], rules: Rules, cuts: list[int], again: int
) -> None:
    """Deliver in steps of any size, crash after each, and read some frames again."""
    history = [Seen(offset, *shot) for offset, shot in enumerate(shots)]
    published, found, done, step = dict[str, HiddenState](), dict[int, Said](), 0, 0
    while done < len(history):
        states = rules.make_hidden()()
        states.restore(list(published.values()))
        upto, first = min(len(history), done + cuts[step % len(cuts)]), max(0, done - again)
        staged = states.stage([outcome(each) for each in history[first:upto]], committed=first)
        for offset, each in said(staged.outcomes).items():
            assert offset >= done or each.skipped or not each.steps, "a second prediction"
            found.setdefault(offset, each)
        for saved in staged.saved:
            if isinstance(saved, HiddenState):
                published[saved.key.camera] = saved
            else:
                del published[saved.key.camera]
        done, step = upto, step + 1

    assert found == sequences_by_hand(history, rules)
