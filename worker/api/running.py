"""One pass of a model over pictures: the worker's own loop, in threads of its own, while the caller takes results.

| thread | does |
| --- | --- |
| the caller's | takes results |
| pictures | reads the iterable, a few pictures ahead |
| loop, decode, inference | as those of any worker |
"""

import atexit
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import Final

import cv2

from worker.adapters.memory import Event, Pause
from worker.api.channel import Channel, Closed
from worker.api.pictures import Item, record_of
from worker.api.results import InOrder, Refused, Result, result_of
from worker.app.workers import memory_worker
from worker.domain.records import OutboundRecord, Record
from worker.media.images import limit_opencv_threads
from worker.models.loaded import LoadedModel
from worker.settings import Topics
from worker.settings.offline import Groups

AHEAD: Final = 16
"""Pictures that wait for the loop, and results that wait for the caller. The loop has a few calls in progress."""
LINGER: Final = 0.05
"""Seconds for which a batch waits for more pictures: files come faster, and a camera's picture shall not wait long."""
LOOK_AGAIN: Final = 0.005
"""Seconds after which the loop stops waiting for a picture, to see whether results are ready or a batch is due."""
TOPICS: Final = Topics(skipped="skipped")


def run(loaded: LoadedModel, groups: Groups, pictures: Iterable[Item]) -> Iterator[Result]:
    """Yield what the worker publishes about pictures. The threads end with the iterator.

    Raises:
        WorkerError: something other than a picture is broken.
        Exception: whatever the iterable raises, after the results of the pictures before.
    """
    one_pass = _Pass(loaded, groups, pictures)
    one_pass.start()
    atexit.register(one_pass.stop)  # an iterator that was not read to its end must not outlive the program's threads
    try:
        yield from one_pass.results()
    finally:
        atexit.unregister(one_pass.stop)
        if not sys.is_finalizing():  # by then, other threads do not run any more
            one_pass.stop()


class _Pass:
    def __init__(self, loaded: LoadedModel, groups: Groups, pictures: Iterable[Item]) -> None:
        self._loaded = loaded
        self._groups = groups
        self._pictures = Channel[Record | Refused](AHEAD)
        self._results = Channel[Result](AHEAD)
        alone = loaded.clip is None and loaded.recurrent is None
        self._in_order = InOrder() if alone else None
        # Neither keeps the program from ending: a picture may never come.
        self._reader = Thread(target=self._read, args=(pictures,), name="pictures", daemon=True)
        self._loop = Thread(target=self._work, name="loop", daemon=True)

    def start(self) -> None:
        self._reader.start()
        self._loop.start()

    def results(self) -> Iterator[Result]:
        while True:
            try:
                result = self._results.get()
            except Closed:
                break
            yield result
        if self._results.error is not None:
            raise self._results.error

    def stop(self) -> None:
        """End the loop, at the latest after the calls of the model that have begun."""
        self._results.abandon()
        self._pictures.abandon()
        self._loop.join()

    def _read(self, pictures: Iterable[Item]) -> None:
        try:
            for number, item in enumerate(pictures):
                self._pictures.put(record_of(number, item))
        except Closed:
            pass
        except BaseException as error:  # noqa: BLE001 it is the caller's
            self._pictures.end(error)
        else:
            self._pictures.end()

    def _work(self) -> None:
        inference, usual = ThreadPoolExecutor(self._loaded.streams, "inference"), cv2.getNumThreads()
        try:
            with memory_worker(
                self._script(),
                self._write,
                inference,
                loaded=self._loaded,
                groups=self._groups,
                topics=TOPICS,
                linger=LINGER,
            ) as worker:
                worker.run()
        except Closed:
            pass
        except BaseException as error:  # noqa: BLE001 it is the caller's
            self._results.end(error)
        finally:
            inference.shutdown(cancel_futures=True)
            limit_opencv_threads(usual)
            self._results.end(self._pictures.error)

    def _script(self) -> Iterator[Event]:
        """Yield pictures as the records of a source; end after the last one, so that all before it get their result.

        Raises:
            Closed: nobody takes results any more.
        """
        while True:
            try:
                item = self._pictures.get(LOOK_AGAIN)
            except TimeoutError:
                yield Pause()
            except Closed:
                if self._results.closed:
                    raise
                return
            else:
                if isinstance(item, Refused):
                    self._put(item)
                else:
                    yield item

    def _write(self, record: OutboundRecord) -> None:
        result = result_of(record, TOPICS)
        if result is not None:
            self._put(result)

    def _put(self, result: Result) -> None:
        for each in self._in_order.add(result) if self._in_order else (result,):
            self._results.put(each)
