"""Memory that stays below its highest value of the warm-up is bounded; steps and leaks are not, whatever luck does."""

from random import Random

import pytest

from tests.chaos.memory import growth

SECONDS = range(1201)
WARM = 240
LIMIT = 10.0


def _sawtooth(second: int, low: float = 900, high: float = 960) -> float:
    return low + (high - low) * (second % 60) / 60


def _faults(mebibytes: list[float]) -> list[str]:
    return growth(SECONDS, mebibytes, warm=WARM).faults(LIMIT)


def test_what_comes_and_goes_below_the_highest_value_of_the_warm_up_is_no_growth() -> None:
    assert not _faults([_sawtooth(second) for second in SECONDS])


def test_steps_of_the_warm_up_are_no_growth() -> None:
    assert not _faults([900.0 + 30 * (second > 20) + 30 * (second > 200) for second in SECONDS])


@pytest.mark.parametrize("at", [WARM + 1, 300, 700, 1190, 1200])
def test_a_step_after_the_warm_up_is_growth_whenever_it_comes(at: int) -> None:
    (fault,) = _faults([900.0 + 12 * (second >= at) for second in SECONDS])

    assert "by 12.0 MiB beyond its highest value" in fault


def test_many_small_steps_are_growth() -> None:
    assert _faults([900.0 + 1 * (second // 80) for second in SECONDS])


@pytest.mark.parametrize("seed", range(20))
def test_a_slow_leak_is_found_below_the_highest_value_of_the_warm_up(seed: int) -> None:
    random = Random(seed)  # noqa: S311 chance that can be repeated
    leaking = [800 + second / 60 + random.uniform(0, 2) for second in SECONDS]
    leaking[100] = 1000

    (fault,) = _faults(leaking)

    assert "steadily" in fault


@pytest.mark.parametrize("seed", range(20))
def test_noise_is_no_growth(seed: int) -> None:
    random = Random(seed)  # noqa: S311 chance that can be repeated

    assert not _faults([900 + random.uniform(0, 30) for _ in SECONDS])


def test_a_high_first_and_a_low_last_reading_do_not_hide_growth() -> None:
    memory = [900.0 + 70 * (second > 600) for second in SECONDS]
    memory[0], memory[-1] = 950, 900

    assert growth(SECONDS, memory, warm=WARM).beyond == 20


def test_the_highest_of_all_is_told() -> None:
    assert growth(SECONDS, [_sawtooth(second) for second in SECONDS], warm=WARM).highest == _sawtooth(59)


@pytest.mark.parametrize("seconds", [range(241), range(245), range(300, 900)])
def test_too_few_measurements_are_refused(seconds: range) -> None:
    with pytest.raises(ValueError, match="cannot be judged: measure for longer"):
        growth(seconds, [1.0] * len(seconds), warm=WARM)
