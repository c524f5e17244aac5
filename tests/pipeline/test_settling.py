"""on_end: called exactly once, however a reply ends and whoever ends it."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from mainstay.pipeline import Chunk, Outcome, Reply, TruncatedStream

END = Chunk(finish_reason="stop")


class Events:
    """Endless chunks, until it is closed."""

    closed = 0

    def __iter__(self) -> Iterator[Chunk]:
        return self

    def __next__(self) -> Chunk:
        return Chunk("a")

    def close(self) -> None:
        self.closed += 1


def arriving(*chunks: Chunk) -> Reply:
    return Reply.stream(iter(chunks or (Chunk("a"), Chunk("b"), END)))


def test_exhaustion_settles_once_as_ok() -> None:
    ended: list[Any] = []
    reply = arriving()
    reply.on_end(lambda reply: ended.append((reply.outcome, reply.text)))
    reply.read()
    reply.read()
    reply.close()
    assert ended == [(Outcome.OK, "ab")]


def test_an_error_settles_once_as_error_and_closing_does_not_settle_again() -> None:
    ended: list[Any] = []
    reply = arriving(Chunk("a"))
    reply.on_end(lambda reply: ended.append((reply.outcome, type(reply.error))))
    with pytest.raises(TruncatedStream), reply:
        reply.read()
    assert ended == [(Outcome.ERROR, TruncatedStream)]


def test_closing_settles_once_as_closed_and_frees_the_events() -> None:
    ended: list[Any] = []
    events = Events()
    reply = Reply.stream(events)
    reply.on_end(lambda reply: ended.append((reply.outcome, reply.error)))
    reply.close()
    reply.close()
    assert (ended, events.closed) == ([(Outcome.CLOSED, None)], 1)
    assert list(reply) == []
    with pytest.raises(RuntimeError, match="did not arrive whole"):
        _ = reply.text


def test_leaving_a_with_block_closes() -> None:
    events = Events()
    with Reply.stream(events) as reply:
        next(reply)  # type: ignore[call-overload]
    assert (reply.outcome, events.closed) == (Outcome.CLOSED, 1)


def test_leaving_a_with_block_by_an_error_closes_and_lets_it_through() -> None:
    events = Events()
    with pytest.raises(ZeroDivisionError), Reply.stream(events):
        raise ZeroDivisionError
    assert events.closed == 1


def test_whoever_stops_at_the_finish_reason_has_the_whole_answer() -> None:
    ended: list[Any] = []
    with arriving(Chunk("a"), END, Chunk("never read")) as reply:
        reply.on_end(lambda reply: ended.append(reply.outcome))
        for chunk in reply:
            if chunk.finish_reason:
                break
    assert ended == [Outcome.OK]
    assert reply.text == "a"


def test_the_last_reference_closes() -> None:
    ended: list[Any] = []
    events = Events()
    reply = Reply.stream(events)
    reply.on_end(lambda reply: ended.append(reply.outcome))
    del reply
    assert (ended, events.closed) == ([Outcome.CLOSED], 1)


def test_a_collection_closes_what_stands_in_a_cycle() -> None:
    ended: list[Any] = []
    events = Events()
    reply = Reply.stream(events)
    ring: list[Any] = [reply]
    ring.append(ring)
    reply.on_end(lambda reply: ended.append(reply.outcome))
    del reply, ring
    assert ended == []
    gc.collect()
    assert (ended, events.closed) == ([Outcome.CLOSED], 1)


def test_a_reply_that_is_over_settles_at_once() -> None:
    closed, whole = arriving(), arriving().read()
    closed.close()
    for reply in (Reply("text"), whole, closed):
        ended: list[Any] = []
        reply.on_end(ended.append)
        reply.on_end(ended.append)
        assert ended == [reply, reply]


def test_callbacks_run_in_order_of_registration() -> None:
    order: list[int] = []
    reply = arriving()
    for number in range(5):
        reply.on_end(lambda _, number=number: order.append(number))  # type: ignore[misc]
    reply.read()
    assert order == [0, 1, 2, 3, 4]


def test_a_callback_may_register_another() -> None:
    order: list[str] = []

    def first(reply: Reply) -> None:
        reply.on_end(lambda _: order.append("nested"))
        order.append("first")

    reply = arriving()
    reply.on_end(first)
    reply.on_end(lambda _: order.append("second"))
    reply.read()
    assert sorted(order) == ["first", "nested", "second"]


@pytest.mark.parametrize("whole", [True, False])
def test_a_callback_that_raises_is_logged_and_the_others_run(whole: bool, caplog: pytest.LogCaptureFixture) -> None:
    ended: list[Any] = []

    def broken(reply: Reply) -> None:
        raise ZeroDivisionError("a layer's bug")

    reply = Reply("text") if whole else arriving()
    with caplog.at_level(logging.ERROR, "mainstay"):
        reply.on_end(broken)
        reply.on_end(ended.append)
        reply.read()
    assert ended == [reply]
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ZeroDivisionError]
    assert reply.text


def test_events_that_cannot_be_closed_do_not_hide_the_answer() -> None:
    class Stuck(Events):
        steps = (Chunk("a"), END)

        def __next__(self) -> Chunk:
            if not self.steps:
                raise StopIteration
            step, *rest = self.steps
            self.steps = tuple(rest)  # type: ignore[assignment]
            return step

        def close(self) -> None:
            raise OSError("the socket is gone already")

    assert Reply.stream(Stuck()).read().text == "a"
    Reply.stream(Stuck()).close()
    dropped = Reply.stream(Stuck())
    del dropped  # raises nothing that nobody could catch


# -- between threads -------------------------------------------------------------------------------------------


def many_times(test: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        for _ in range(200):
            test()

    return run


def note(settled: list[int], number: int, reply: Reply) -> None:
    settled.append(number)


def read(reply: Reply, failed: list[BaseException]) -> None:
    try:
        reply.read()
    except BaseException as error:
        failed.append(error)


def together(*actions: Any) -> None:
    barrier = threading.Barrier(len(actions))

    def run(action: Any) -> None:
        barrier.wait()
        action()

    threads = [threading.Thread(target=run, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@many_times
def test_threads_that_end_a_reply_at_once_settle_it_once() -> None:
    settled: list[int] = []
    events = Events()
    reply = Reply.stream(events)
    for number in range(3):
        reply.on_end(partial(note, settled, number))
    together(reply.close, reply.close, reply.close)
    assert settled == [0, 1, 2]
    assert events.closed == 1


@many_times
def test_reading_to_the_end_and_closing_at_once_settle_once_and_raise_nothing() -> None:
    settled: list[Any] = []
    failed: list[BaseException] = []
    reply = arriving(Chunk("a"), Chunk("b"), Chunk("c"), END)
    reply.on_end(lambda reply: settled.append(reply.outcome))
    together(partial(read, reply, failed), reply.close)
    assert failed == []
    assert settled in ([Outcome.OK], [Outcome.CLOSED])
    assert reply.outcome is settled[0]


@many_times
def test_registering_while_another_thread_ends_the_reply_loses_nothing_and_runs_nothing_twice() -> None:
    settled: list[int] = []
    reply = Reply.stream(Events())

    def register(start: int) -> None:
        for number in range(start, start + 5):
            reply.on_end(partial(note, settled, number))

    together(partial(register, 0), partial(register, 5), reply.close)
    assert sorted(settled) == list(range(10))


def test_a_stream_that_is_closed_while_another_thread_reads_it_is_closed_by_the_reader() -> None:
    reading, go_on, freed = threading.Event(), threading.Event(), threading.Event()

    def chunks() -> Iterator[Chunk]:
        try:
            yield Chunk("a")
            reading.set()
            go_on.wait(10)
            yield Chunk("b")
            yield END
        finally:
            freed.set()

    reply = Reply.stream(chunks())
    texts: list[str] = []
    reader = threading.Thread(target=lambda: texts.extend(chunk.text for chunk in reply))
    reader.start()
    assert reading.wait(10)
    reply.close()
    assert (reply.outcome, freed.is_set()) == (Outcome.CLOSED, False)
    go_on.set()
    reader.join(10)
    assert freed.is_set()
    assert texts in (["a"], ["a", "b"])


def test_what_the_reader_meets_because_another_thread_closed_is_no_error() -> None:
    reading, go_on = threading.Event(), threading.Event()

    def chunks() -> Iterator[Chunk]:
        yield Chunk("a")
        reading.set()
        go_on.wait(10)
        raise OSError("the socket was closed under me")

    reply = Reply.stream(chunks())
    failed: list[BaseException] = []
    reader = threading.Thread(target=read, args=(reply, failed))
    reader.start()
    assert reading.wait(10)
    reply.close()
    go_on.set()
    reader.join(10)
    assert failed == []
    assert (reply.outcome, reply.error) == (Outcome.CLOSED, None)


def test_what_is_closed_after_a_with_block_must_know_how() -> None:
    from mainstay.pipeline.closing import Closing

    class Door(Closing):
        """Has forgotten its close()."""

    with pytest.raises(TypeError, match=r"Door needs a close\(\)"), Door():
        pass
