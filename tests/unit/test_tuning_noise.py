"""Tuning on a noisy machine: pairs tell what single rates do not, and what is chosen is hardly ever slow."""

from pathlib import Path
from typing import Final

import pytest

from tests.support.noisy_machine import NoisyMachine, best_speed, speed_of
from worker.settings import Limits, ModelGroup, WindowGroup
from worker.settings.offline import Groups
from worker.tuning.candidates import Room
from worker.tuning.pairs import LEAST, NARROW, Pair, Ratio, Run, add_pairs, ratio_of
from worker.tuning.search import search

ROOM: Final = Room.of(Groups(ModelGroup(path=Path("model")), WindowGroup(), Limits()), cores=2)
SEEDS: Final = range(1000, 1060)


@pytest.mark.parametrize("jitter", [0.05, 0.07])
def test_what_is_chosen_on_a_noisy_machine_is_within_five_percent_of_the_best(jitter: float) -> None:
    found = [search(ROOM, NoisyMachine(seed, jitter), seconds=3.0).settings for seed in SEEDS]

    close = [speed_of(settings) >= 0.95 * best_speed(ROOM) for settings in found]
    assert sum(close) >= 0.9 * len(close)


def test_a_search_ends_within_minutes() -> None:
    machine = NoisyMachine(seed=1, jitter=0.07)
    search(ROOM, machine, seconds=3.0)

    assert 60 < machine.now < 900


def pairs_of(*ratios: float) -> list[Pair]:
    return [Pair(Run(100.0 * each, 1.0), Run(100.0, 1.0)) for each in ratios]


def test_runs_that_went_wrong_do_not_move_the_estimate() -> None:
    assert ratio_of(pairs_of(*[1.1] * 9, 0.2, 5.0)).middle == pytest.approx(1.1, rel=0.01)


def test_a_slow_minute_affects_both_of_a_pair() -> None:
    speeds = [1.0] * 5 + [0.6] * 6
    pairs = [Pair(Run(110.0 * speed, 1.0), Run(100.0 * speed, 1.0)) for speed in speeds]
    assert ratio_of(pairs) == pytest.approx((1.1, 1.1, 1.1))


def test_few_pairs_are_certain_of_nothing() -> None:
    spread = [1.3, 1.31, 1.29, 1.28, 1.32, 1.3, 1.33, 1.27]
    assert len(spread) == LEAST

    assert ratio_of(pairs_of(*spread)).is_certain()
    assert not ratio_of(pairs_of(*spread[:-1], 1.0)).is_certain()


def test_the_interval_is_that_of_the_signed_rank_test() -> None:
    # Of eight, the smallest and the largest mean of two: one sign in 256 is all that is beyond, on either side.
    ratio = ratio_of(pairs_of(1.02, 1.04, 1.06, 1.08, 1.1, 1.12, 1.14, 1.16))
    assert (ratio.low, ratio.high) == pytest.approx((1.02, 1.16))
    assert ratio.middle == pytest.approx(1.09, abs=0.001)
    assert ratio.verdict == "faster"


def test_a_candidate_is_ranked_once_it_is_certainly_slower_or_known_closely() -> None:
    assert Ratio(0.5, 0.7, 0.97).ranks()
    assert not Ratio(0.9, 0.95, 0.99).ranks()
    assert Ratio(1.0, 1.02, NARROW).ranks()
    assert not Ratio(1.1, 1.2, 1.3).ranks()


@pytest.mark.parametrize(("ratio", "verdict"), [(0.9, "slower"), (0.99, "equal"), (1.01, "equal"), (1.1, "faster")])
def test_it_ends_once_the_difference_is_clear(ratio: float, verdict: str) -> None:
    found = add_pairs(
        (),
        lambda: Run(ratio, 1.0),
        lambda: Run(1.0, 1.0),
        at_least=LEAST,
        up_to=30,
        seconds=100,
        enough=Ratio.is_certain,
    )

    assert len(found) == LEAST
    assert ratio_of(found).verdict == verdict


def test_what_stays_open_ends_after_so_many_pairs_or_so_much_time() -> None:
    rates = iter([1.0, 1.5] * 100)

    def noisy() -> Run:
        return Run(next(rates), 1.0)

    assert (
        len(add_pairs((), noisy, lambda: Run(1.2, 1.0), at_least=LEAST, up_to=30, seconds=100, enough=Ratio.is_certain))
        == 30
    )
    assert (
        len(add_pairs((), noisy, lambda: Run(1.2, 1.0), at_least=LEAST, up_to=30, seconds=20, enough=Ratio.is_certain))
        == 10
    )
    assert (
        len(
            add_pairs(
                (), noisy, lambda: Run(1.2, 1000.0), at_least=LEAST, up_to=30, seconds=20, enough=Ratio.is_certain
            )
        )
        == 2
    )


def test_the_two_take_turns_in_being_first() -> None:
    order = list[str]()

    def run(name: str) -> Run:
        order.append(name)
        return Run(1.0, 1.0)

    add_pairs(
        (),
        lambda: run("challenger"),
        lambda: run("champion"),
        at_least=8,
        up_to=4,
        seconds=100,
        enough=Ratio.is_certain,
    )

    assert order == ["challenger", "champion", "champion", "challenger"] * 2
