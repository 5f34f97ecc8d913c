import pytest

from worker.local.newest import Newest


def test_values_are_taken_in_order_and_keys_take_turns() -> None:
    newest = Newest[str](3)
    for value in ("a1", "a2", "a3", "b1", "b2"):
        newest.put(value[0], value)
    assert [newest.take() for _ in range(5)] == ["a1", "b1", "a2", "b2", "a3"]
    assert newest.dropped == {}


def test_the_newest_stay_and_what_is_dropped_is_counted_by_key() -> None:
    newest = Newest[int](2)
    for number in range(10):
        newest.put("fast", number)
    newest.put("slow", 100)
    newest.count_dropped("slow")
    assert newest.dropped == {"fast": 8, "slow": 1}
    assert [newest.take() for _ in range(3)] == [8, 100, 9]


def test_nothing_in_time_is_none() -> None:
    assert Newest[int](1).take(0) is None


def test_what_is_there_at_the_end_may_still_be_taken() -> None:
    newest = Newest[int](1)
    newest.put("a", 1)
    newest.close()
    assert not newest.ended
    assert (newest.take(), newest.take()) == (1, None)
    assert newest.ended


def test_a_failure_is_raised_to_who_takes() -> None:
    newest = Newest[int](1)
    newest.fail(ValueError("broken"))
    newest.close()
    assert not newest.ended
    with pytest.raises(ValueError, match="broken"):
        newest.take()
