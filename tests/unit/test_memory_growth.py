"""A leak is told from steps, whatever else memory does meanwhile."""

from random import Random

import pytest

from tests.chaos.memory import growth

SECONDS = range(481)


def _steps(second: int, *at: int) -> float:
    return 32.0 * sum(second >= each for each in at)


@pytest.mark.parametrize("at", [(1,), (120,), (240,), (480,), (10, 130, 250)])
def test_steps_are_growth_and_not_steady(at: tuple[int, ...]) -> None:
    found = growth(SECONDS, [1000 + _steps(second, *at) for second in SECONDS])

    assert found.whole == 32 * len(at)
    assert found.steady == 0


def test_a_leak_is_found_under_steps_and_what_comes_and_goes() -> None:
    random = Random(1)  # noqa: S311 chance that can be repeated

    found = growth(SECONDS, [0.05 * second + _steps(second, 300) + random.uniform(0, 1) for second in SECONDS])

    assert found.whole == pytest.approx(24 + 32, abs=1)
    assert found.steady == pytest.approx(24, abs=4)
    assert found.slope > 0.05


def test_memory_given_back_is_no_growth() -> None:
    assert growth(range(5), [10, 9, 8, 7, 6]) == (-1, -4, -4)
