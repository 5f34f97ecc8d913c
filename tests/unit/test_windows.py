import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.times import EventMillis
from worker.domain.windows import TumblingWindows, Watermark, Window

times = st.integers(0, 2**53).map(EventMillis)


@given(times, st.integers(1, 10_000_000))
def test_every_time_lies_in_its_window_and_windows_lie_end_to_end(at: EventMillis, size: int) -> None:
    windows = TumblingWindows(size)
    window = windows.of(at)

    assert at in window
    assert window.end - window.start == size
    assert windows.of(window.end).start == window.end
    assert windows.of(window.start) == window


def test_a_window_has_its_start_and_not_its_end() -> None:
    window = Window(EventMillis(1_000), EventMillis(2_000))

    assert EventMillis(1_000) in window
    assert EventMillis(1_999) in window
    assert EventMillis(2_000) not in window


def test_a_window_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 ms"):
        TumblingWindows(0)


@given(st.lists(times, min_size=1), st.integers(0, 5_000), st.integers(1, 5_000))
def test_the_watermark_is_the_largest_time_seen_less_the_lateness(
    seen: list[EventMillis], lateness: int, size: int
) -> None:
    watermark, windows = Watermark(lateness), TumblingWindows(size)
    for at in seen:
        watermark.see(at)

    for at in seen:
        window = windows.of(at)
        assert watermark.passed(window) == (max(seen) - lateness >= window.end)


def test_before_any_frame_no_window_has_passed() -> None:
    assert not Watermark(0).passed(Window(EventMillis(0), EventMillis(1)))
