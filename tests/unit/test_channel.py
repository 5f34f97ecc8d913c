"""A queue between two threads that either side can close."""

from threading import Thread

import pytest

from worker.api.channel import Channel, Closed


def test_items_come_in_order_and_then_it_ends() -> None:
    channel = Channel[int](size=2)
    channel.put(1)
    channel.put(2)
    channel.end()

    assert [channel.get(), channel.get()] == [1, 2]
    with pytest.raises(Closed):
        channel.get()
    with pytest.raises(Closed):
        channel.put(3)


def test_who_puts_into_a_full_one_waits_for_room() -> None:
    channel, put = Channel[int](size=1), list[int]()

    def fill() -> None:
        for number in range(3):
            channel.put(number)
            put.append(number)
        channel.end()

    thread = Thread(target=fill)
    thread.start()
    taken = [channel.get() for _ in range(3)]
    thread.join()

    assert taken == put == [0, 1, 2]


def test_who_waits_for_room_learns_that_nobody_takes_more() -> None:
    channel, ended = Channel[int](size=1), list[type[Exception]]()
    channel.put(0)

    def fill() -> None:
        try:
            channel.put(1)
        except Closed as error:
            ended.append(type(error))

    thread = Thread(target=fill)
    thread.start()
    channel.abandon()
    thread.join()

    assert ended == [Closed]
    with pytest.raises(Closed):
        channel.get()


def test_who_waits_for_an_item_learns_that_none_comes() -> None:
    channel, ended = Channel[int](size=1), list[type[Exception]]()

    def take() -> None:
        try:
            channel.get()
        except Closed as error:
            ended.append(type(error))

    thread = Thread(target=take)
    thread.start()
    channel.end()
    thread.join()

    assert ended == [Closed]


def test_one_can_wait_for_a_while() -> None:
    channel = Channel[int](size=1)

    with pytest.raises(TimeoutError):
        channel.get(timeout=0.0)


def test_the_first_end_counts() -> None:
    channel, why = Channel[int](size=1), ValueError("why")
    channel.end(why)
    channel.end()
    channel.abandon()

    assert channel.error is why
