from __future__ import annotations

import ast
import gc
import inspect
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from opentelemetry import metrics as api
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import TracerProvider

from mainstay.middleware import CircuitBreaker, Cost, Fallback, Metrics, Price, Prices, Retry, Trace, semconv, standard
from mainstay.middleware.meters import Meters
from mainstay.pipeline import (
    ModelNotFound,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    Reply,
    Request,
    Route,
    Stack,
    TimedOut,
    Unavailable,
    Usage,
    VirtualClock,
)
from support.metering import Metering

PROMPT, ANSWER, KEY = "the-prompt-itself", "the-answer-itself", "sk-the-key-itself"


@pytest.fixture
def metering() -> Iterator[Metering]:
    metering = Metering()
    yield metering
    metering.provider.shutdown()


def taking(seconds: float, outcome: Any, clock: VirtualClock) -> Any:
    """A script entry that takes its time."""

    def entry(request: Request) -> Any:
        clock.advance(seconds)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    return entry


def eventful(world: Any, metering: Metering, clock: VirtualClock) -> Any:
    """A call that retries, opens a breaker, falls back, skips a route, and succeeds."""
    first = world.leaf(
        taking(2.0, TimedOut(reason="read"), clock),
        taking(1.0, QuotaExceeded(reason="credit", status=402), clock),
        name="openai",
    )
    last = world.leaf(taking(3.0, Reply(ANSWER, usage=Usage(7, 5)), clock), name="claude")
    routes = Route("a", first, model="small"), Route("b", world.leaf("never")), Route("c", last)
    stack = world.stack([Metrics(metering.provider), Retry(), CircuitBreaker()], Fallback(*routes), clock=clock)
    stack.part("breaker", route="b").isolate()
    return stack


# -- what is measured ------------------------------------------------------------------------------------------


def test_each_attempt_and_each_decision_is_counted(either_world: Any, ask: Request, metering: Metering) -> None:
    either_world.run(eventful(either_world, metering, VirtualClock()), ask)
    assert metering.counts(semconv.ATTEMPT_COUNT) == {
        "outcome=error provider=openai reason=read route=a type=timeout": 1,
        "outcome=error provider=openai reason=credit route=a type=quota": 1,
        "outcome=ok provider=anthropic route=c": 1,
    }
    assert metering.counts(semconv.RETRIES) == {"reason=read route=a type=timeout": 1}
    assert metering.counts(semconv.FALLBACKS) == {
        "reason=credit route=a target=b type=quota": 1,
        "route=b target=c type=unavailable": 1,
    }
    assert metering.counts(semconv.REFUSALS) == {"refusal=circuit_open route=b type=unavailable": 1}
    assert metering.counts(semconv.TRANSITIONS) == {"after=open before=closed route=a": 1}
    assert metering.sums(semconv.CALL_DURATION) == {"outcome=ok": 6.0}
    assert metering.sums(semconv.DURATION) == {
        "model=small provider=openai route=a type=timeout": 2.0,
        "model=small provider=openai route=a type=quota": 1.0,
        "model=gpt-4o provider=anthropic route=c": 3.0,
    }
    assert metering.sums(semconv.TOKEN_USAGE) == {
        "model=gpt-4o provider=anthropic route=c type=input": 7,
        "model=gpt-4o provider=anthropic route=c type=output": 5,
    }


def test_a_stream_is_measured_at_its_end_by_its_first_chunk_and_the_mean_of_the_others(
    kit: Any, ask_stream: Request, metering: Metering
) -> None:
    clock = VirtualClock()

    def entry(request: Request) -> Any:
        clock.advance(2.0)
        return kit.Flow(("one", "two", "three"), usage=Usage(3, 4))

    reply = Stack([Metrics(metering.provider)], kit.Leaf(entry), clock=clock)(ask_stream)
    assert metering.metrics().keys() <= {semconv.STATE}
    for _ in reply:
        clock.advance(1.0)
    where = "model=gpt-4o provider=leaf route=leaf"
    assert metering.sums(semconv.FIRST_CHUNK) == {where: 2.0}
    # Three texts and the end; the last was asked for after four seconds, three gaps between them.
    assert metering.counts(semconv.PER_CHUNK) == {where: 1}
    assert metering.sums(semconv.PER_CHUNK) == {where: pytest.approx(4.0 / 3.0)}
    assert metering.sums(semconv.DURATION) == {where: 6.0}
    assert metering.sums(semconv.CALL_DURATION) == {"outcome=ok": 6.0}
    assert metering.sums(semconv.TOKEN_USAGE) == {f"{where} type=input": 3, f"{where} type=output": 4}


def test_a_complete_reply_has_no_time_to_a_first_chunk(either_world: Any, ask: Request, metering: Metering) -> None:
    either_world.run(either_world.stack([Metrics(metering.provider)], either_world.leaf()), ask)
    assert semconv.DURATION in metering.metrics()
    assert not {semconv.FIRST_CHUNK, semconv.PER_CHUNK, semconv.TOKEN_USAGE} & metering.metrics().keys()


@pytest.mark.parametrize(
    ("end", "outcome"), [("read", "ok"), ("close", "closed"), ("leave", "closed"), ("drop", "closed")]
)
def test_every_end_of_a_stream_is_counted_once(
    either_world: Any, kit: Any, ask_stream: Request, metering: Metering, end: str, outcome: str
) -> None:
    either_world.run(either_world.stack([Metrics(metering.provider)], either_world.leaf(kit.Flow())), ask_stream, end)
    gc.collect()
    assert metering.counts(semconv.ATTEMPT_COUNT) == {f"outcome={outcome} provider=leaf route=leaf": 1}
    assert metering.counts(semconv.CALL_DURATION) == {f"outcome={outcome}": 1}


def test_a_stream_that_breaks_is_an_error_of_both(
    either_world: Any, kit: Any, ask_stream: Request, metering: Metering
) -> None:
    flow = kit.Flow(error=Unavailable(reason="connection_reset"))
    with pytest.raises(Unavailable):
        either_world.run(either_world.stack([Metrics(metering.provider)], either_world.leaf(flow)), ask_stream, "read")
    assert list(metering.counts(semconv.CALL_DURATION)) == ["outcome=error type=unavailable"]
    assert list(metering.counts(semconv.ATTEMPT_COUNT)) == [
        "outcome=error provider=leaf reason=connection_reset route=leaf type=unavailable"
    ]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_nobody_s_failure(kit: Any, ask: Request, metering: Metering, error: Any) -> None:
    with pytest.raises(error):
        Stack([Metrics(metering.provider)], kit.Leaf(error()))(ask)
    assert list(metering.counts(semconv.CALL_DURATION)) == ["outcome=closed"]
    assert list(metering.counts(semconv.ATTEMPT_COUNT)) == ["outcome=closed provider=leaf route=leaf"]


def test_a_bug_is_of_no_class(kit: Any, ask: Request, metering: Metering) -> None:
    with pytest.raises(ZeroDivisionError):
        Stack([Metrics(metering.provider)], kit.Leaf(ZeroDivisionError(KEY)))(ask)
    assert list(metering.counts(semconv.CALL_DURATION)) == ["outcome=error type=_OTHER"]
    assert list(metering.counts(semconv.ATTEMPT_COUNT)) == [
        "outcome=error provider=leaf reason=_OTHER route=leaf type=_OTHER"
    ]


def test_cost_is_told_as_far_as_it_is_known(kit: Any, ask: Request, metering: Metering) -> None:
    def answer(request: Request) -> Reply:
        return Reply("x", usage=Usage(1_000_000, 500_000))

    prices = Cost(Prices({"gpt-4o": Price(1.0, 2.0)}))
    stack = Stack([Metrics(metering.provider), prices], kit.Leaf(answer))
    stack(ask)
    stack(ask.replace(model="unheard-of"))
    assert metering.counts(semconv.COST) == {"model=gpt-4o provider=leaf route=leaf": 2.0}


def test_a_rest_is_counted_where_it_is_asked_for(kit: Any, ask: Request, metering: Metering) -> None:
    first = kit.Leaf(RateLimited(reason="requests", retry_after=60.0))
    routes = Fallback(Route("a", first), Route("b", kit.Leaf()))
    stack = Stack([Metrics(metering.provider), CircuitBreaker()], routes, clock=VirtualClock())
    for _ in range(3):
        stack(ask)
    assert metering.counts(semconv.RESTS) == {"reason=requests route=a type=rate_limit": 1}
    assert metering.counts(semconv.REFUSALS) == {"reason=requests refusal=resting route=a type=rate_limit": 2}


def resuming(world: Any, kit: Any, layer: Any) -> Any:
    """A stream that breaks on one route and begins anew on another."""
    broken = world.leaf(kit.Flow(("one",), error=Unavailable(reason="connection_reset")))
    routes = Route("a", broken), Route("b", world.leaf(kit.Flow()))
    return world.stack([layer], Fallback(*routes, mid_stream="restart"), clock=VirtualClock())


def test_a_stream_that_goes_on_elsewhere_is_counted(
    either_world: Any, kit: Any, ask_stream: Request, metering: Metering
) -> None:
    either_world.run(resuming(either_world, kit, Metrics(metering.provider)), ask_stream, "read")
    assert metering.counts(semconv.RESUMES) == {"mode=restart route=a target=b": 1}
    assert metering.counts(semconv.CALL_DURATION) == {"outcome=ok": 1}


def test_what_a_breaker_that_only_observes_would_refuse_is_counted_apart(
    kit: Any, ask: Request, metering: Metering
) -> None:
    breaker = CircuitBreaker(failures=1, observe=True)
    stack = Stack([Metrics(metering.provider), breaker], kit.Leaf(Unavailable(), "fine"), clock=VirtualClock())
    with pytest.raises(Unavailable):
        stack(ask)
    stack(ask)
    assert metering.counts(semconv.DOUBTS) == {"route=leaf type=unavailable": 1}
    assert semconv.REFUSALS not in metering.metrics()


# -- the state of breakers -------------------------------------------------------------------------------------


def states(metering: Metering) -> dict[str, Any]:
    """The states that have a breaker."""
    return {label: count for label, count in metering.counts(semconv.STATE).items() if count}


def test_the_state_of_each_breaker_is_told_as_it_is(either_world: Any, ask: Request, metering: Metering) -> None:
    clock = VirtualClock()
    stack = eventful(either_world, metering, clock)
    assert states(metering) == {}  # no call yet, so nobody knows where to tell it
    either_world.run(stack, ask)
    assert states(metering) == {"route=a state=open": 1, "route=b state=isolated": 1, "route=c state=closed": 1}
    stack.part("breaker", route="b").close()  # by hand, without any event
    assert states(metering) == {"route=a state=open": 1, "route=b state=closed": 1, "route=c state=closed": 1}
    assert len(metering.counts(semconv.STATE)) == 15  # every state of every route is a series, 0 or 1


def test_two_stacks_with_routes_of_one_name_add_up(kit: Any, ask: Request, metering: Metering) -> None:
    layers = [Metrics(metering.provider), CircuitBreaker(failures=1)]
    well, ill = Stack(layers, kit.Leaf()), Stack(layers, kit.Leaf(Unavailable()))
    well(ask)
    with pytest.raises(Unavailable):
        ill(ask)
    assert states(metering) == {"route=leaf state=closed": 1, "route=leaf state=open": 1}
    del ill
    gc.collect()
    assert states(metering) == {"route=leaf state=closed": 1}


def test_the_breakers_of_a_stack_inside_a_stack_have_their_path(
    either_world: Any, ask: Request, metering: Metering
) -> None:
    layers = [Metrics(metering.provider), CircuitBreaker()]
    inner = either_world.stack(layers, Fallback(Route("x", either_world.leaf()), Route("y", either_world.leaf())))
    outer = either_world.stack(
        [Metrics(metering.provider)], Fallback(Route("a", inner), Route("b", either_world.leaf()))
    )
    either_world.run(outer, ask)
    assert states(metering) == {"route=a/x state=closed": 1, "route=a/y state=closed": 1}
    assert list(metering.counts(semconv.ATTEMPT_COUNT)) == ["outcome=ok provider=leaf route=a/x"]


def test_the_breaker_of_all_calls_of_a_stack_inside_has_the_path_of_that_stack(
    kit: Any, ask: Request, metering: Metering
) -> None:
    around = [CircuitBreaker(failures=1, scope="call")]
    inner = kit.Threads.stack(
        around, Fallback(Route("x", kit.Leaf(Unavailable())), Route("y", kit.Leaf(Unavailable())))
    )
    layers = [Metrics(metering.provider)]
    kit.Threads.stack(layers, Fallback(Route("a", inner), Route("b", kit.Leaf())))(ask)
    assert states(metering) == {"route=a state=open": 1}
    assert metering.counts(semconv.TRANSITIONS) == {"after=open before=closed route=a": 1}


# -- labels come from closed sets ------------------------------------------------------------------------------


def test_every_metric_is_in_the_table_with_its_unit_and_no_other_label(
    either_world: Any, kit: Any, ask_stream: Request, ask: Request, metering: Metering
) -> None:
    either_world.run(eventful(either_world, metering, VirtualClock()), ask)
    priced = [Metrics(metering.provider), Cost(Prices({"gpt-4o": Price(1, 1)})), CircuitBreaker(observe=True)]
    stack = either_world.stack(
        priced, either_world.leaf(kit.Flow(usage=Usage(1, 1)), RateLimited(retry_after=9.0), "fine")
    )
    either_world.run(stack, ask_stream, "read")
    with pytest.raises(RateLimited):
        either_world.run(stack, ask)
    either_world.run(stack, ask)
    either_world.run(resuming(either_world, kit, Metrics(metering.provider)), ask_stream, "read")
    found = metering.metrics()
    assert found.keys() == semconv.INSTRUMENTS.keys()
    for name, metric in found.items():
        item = semconv.INSTRUMENTS[name]
        assert (metric.unit, metric.description) == (item.unit, item.about)
        for point in metric.data.data_points:
            assert set(point.attributes) <= set(item.labels), name
            if item.buckets:
                assert point.explicit_bounds == item.buckets
    assert {item.kind for item in semconv.INSTRUMENTS.values()} == {"counter", "histogram", "gauge"}


def test_models_that_nobody_can_foresee_are_told_together(kit: Any, metering: Metering) -> None:
    stack = Stack([Metrics(metering.provider)], kit.Leaf())
    for number in range(300):
        stack(Request(f"model-{number}", "hi"))
    counts = metering.counts(semconv.DURATION)
    assert len(counts) == 101
    assert counts["model=_OTHER provider=leaf route=leaf"] == 200


def test_a_model_that_there_is_not_takes_nobody_s_place(kit: Any, metering: Metering) -> None:
    def entry(request: Request) -> Any:
        if request.model.startswith("nonsense"):
            raise ModelNotFound(reason="model")
        return Reply("fine")

    stack = Stack([Metrics(metering.provider)], kit.Leaf(entry))
    for number in range(300):
        with suppress(ModelNotFound):
            stack(Request(f"nonsense-{number}", "hi"))
    stack(Request("real", "hi"))
    assert metering.counts(semconv.DURATION) == {
        "model=_OTHER provider=leaf route=leaf type=model_not_found": 300,
        "model=real provider=leaf route=leaf": 1,
    }


def test_a_reason_is_a_label_only_if_it_is_known(kit: Any, ask: Request, metering: Metering) -> None:
    own = Metrics(metering.provider, reasons=frozenset({"maintenance"}))
    for reason in (PROMPT, "maintenance", "overloaded", ""):
        with pytest.raises(Unavailable):
            Stack([own], kit.Leaf(Unavailable(reason=reason)))(ask)
    reasons = {point.attributes[semconv.REASON] for point in metering.points(semconv.ATTEMPT_COUNT)}
    assert reasons == {"_OTHER", "maintenance", "overloaded", ""}


def test_the_known_reasons_are_those_that_the_library_gives() -> None:
    from mainstay import adapters, middleware, pipeline
    from mainstay.adapters import failures, provider_rules, rules

    def told(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, (list, tuple)):
            if len(value) == 2 and isinstance(value[1], str):  # a class and a reason
                yield value[1]
            for item in value:
                yield from told(item)
        elif isinstance(getattr(value, "reason", None), str):
            yield value.reason

    found = {
        word
        for table in (rules.GENERIC, provider_rules.PROVIDER_RULES, provider_rules.STATUSES, failures.TRANSPORT,
                      failures.CONNECTION, failures.PROCESS_RULES, failures.EXITS)
        for word in told(table)
    }  # fmt: skip
    assert len(found) > 50
    for package in (adapters, middleware, pipeline):
        for file in package.__path__:
            found |= set(_written(file))
    assert found <= semconv.REASONS, found - semconv.REASONS


def _written(folder: str) -> Iterator[str]:
    from pathlib import Path

    for file in Path(folder).glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "reason" and isinstance(node.value, ast.Constant):
                yield node.value.value
            elif isinstance(node, ast.Assign) and "default_reason" in ast.unparse(node.targets[0]):
                yield ast.literal_eval(node.value)


def test_no_label_has_a_prompt_an_answer_or_a_key(either_world: Any, kit: Any, metering: Metering) -> None:
    def leaky() -> ProviderError:
        return Unavailable(KEY, reason=PROMPT, detail=PROMPT, hint=KEY, code=KEY, request_id=KEY)

    ask = Request("m", [{"role": "user", "content": PROMPT}], {"user": KEY}, stream=True)
    for script in ([leaky(), kit.Flow((ANSWER,))], [kit.Flow((ANSWER,), error=leaky())], [ValueError(KEY)], [leaky()]):
        routes = Route("a", either_world.leaf(*script), params={"api_key": KEY}), Route("b", either_world.leaf(ANSWER))
        stack = either_world.stack(
            [Metrics(metering.provider), Retry(), CircuitBreaker()], Fallback(*routes), clock=VirtualClock()
        )
        with suppress(ProviderError, ValueError):
            either_world.run(stack, ask, "read")
    told = repr(metering.metrics())
    assert semconv.FALLBACKS in told
    for secret in (PROMPT, ANSWER, KEY):
        assert secret not in told


# -- who records, and when -------------------------------------------------------------------------------------


def test_without_an_sdk_it_listens_to_nothing(either_world: Any, ask: Request) -> None:
    seen: list[int] = []

    def leaf(request: Request) -> Reply:
        seen.append(len(request.call.observers))
        return Reply("x")

    for layer in (Metrics(), Metrics(NoOpMeterProvider())):
        either_world.run(either_world.stack([layer], leaf), ask)
    assert seen == [0, 0]


def test_the_global_provider_may_be_set_when_calls_have_been_made(
    kit: Any, ask: Request, metering: Metering, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = Stack([Metrics(), CircuitBreaker()], kit.Leaf())
    stack(ask)
    # What `set_meter_provider` sets; it can be done once in a process only.
    assert hasattr(api._internal, "_METER_PROVIDER")
    monkeypatch.setattr(api._internal, "_METER_PROVIDER", metering.provider)
    for _ in range(2):
        stack(ask)
    assert metering.counts(semconv.CALL_DURATION) == {"outcome=ok": 2}
    assert states(metering) == {"route=leaf state=closed": 1}


def test_nested_stacks_count_once(either_world: Any, ask: Request, metering: Metering) -> None:
    inner = either_world.stack([Metrics(metering.provider)], either_world.leaf())
    either_world.run(either_world.stack([Metrics(metering.provider)], Fallback(Route("a", inner))), ask)
    assert metering.counts(semconv.CALL_DURATION) == {"outcome=ok": 1}
    assert metering.counts(semconv.ATTEMPT_COUNT) == {"outcome=ok provider=leaf route=a/leaf": 1}


def test_two_providers_are_both_told(kit: Any, ask: Request, metering: Metering) -> None:
    other = Metering()
    Stack([Metrics(metering.provider, name="one"), Metrics(other.provider, name="two")], kit.Leaf())(ask)
    assert metering.counts(semconv.ATTEMPT_COUNT) == other.counts(semconv.ATTEMPT_COUNT) != {}
    other.provider.shutdown()


def test_switched_off_it_counts_nothing(kit: Any, ask: Request, metering: Metering) -> None:
    stack = Stack([Metrics(metering.provider)], kit.Leaf())
    stack.disable("metrics")
    stack(ask)
    assert semconv.ATTEMPT_COUNT not in metering.metrics()


def test_what_ends_in_a_garbage_collection_waits_for_no_lock_of_the_sdk(
    kit: Any, ask_stream: Request, metering: Metering
) -> None:
    """The thread that collects holds every lock that recording could want, as the SDK does while it aggregates."""
    stack = Stack([Metrics(metering.provider), CircuitBreaker()], kit.Leaf(kit.Flow()))
    stack(ask_stream).read()
    gc.disable()
    held = []
    try:
        dropped: list[Any] = [stack(ask_stream)]
        dropped.append(dropped)  # so that only a collection frees it
        del dropped
        held = [lock for lock in _locks_of(metering.provider) if lock.acquire(timeout=20)]
        assert len(held) >= 3
        collecting = threading.Thread(target=gc.collect, daemon=True)
        collecting.start()
        collecting.join(20)
        assert not collecting.is_alive()
    finally:
        gc.enable()
        for lock in held:
            lock.release()
    counts = metering.counts(semconv.ATTEMPT_COUNT)
    assert counts == {"outcome=ok provider=leaf route=leaf": 1, "outcome=closed provider=leaf route=leaf": 1}


def _locks_of(root: Any) -> list[Any]:
    """Every lock that the SDK keeps."""
    seen: set[int] = set()
    waiting, found = [root], []
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if type(item).__name__ in ("lock", "Lock", "RLock"):
            found.append(item)
        elif isinstance(item, dict):
            waiting += [*item.values()]
        elif isinstance(item, (list, tuple, set)):
            waiting += [*item]
        elif type(item).__module__.startswith("opentelemetry.sdk") and hasattr(item, "__dict__"):
            waiting += [*vars(item).values()]
    return found


@pytest.mark.parametrize("traced", [False, True])
def test_an_exemplar_leads_to_the_trace_of_its_own_call(kit: Any, ask_stream: Request, traced: bool) -> None:
    metering, traces = Metering(), TracerProvider(shutdown_on_exit=False)
    stack = Stack([Metrics(metering.provider), *([Trace(traces)] if traced else [])], kit.Leaf(kit.Flow()))
    tracer = traces.get_tracer("application")
    with tracer.start_as_current_span("one") as one:
        reply = stack(ask_stream)
    with tracer.start_as_current_span("another"):
        reply.read()
        (point,) = metering.points(semconv.DURATION)
    assert [example.trace_id for example in point.exemplars] == [one.get_span_context().trace_id]
    metering.provider.shutdown()


def test_many_threads_lose_nothing(kit: Any, ask: Request, metering: Metering) -> None:
    stack = Stack([Metrics(metering.provider), Retry(), CircuitBreaker()], kit.Leaf())
    together = threading.Barrier(16)

    def many(_: int) -> None:
        together.wait(20)
        for _ in range(50):
            stack(ask)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(many, range(16)))
    assert metering.counts(semconv.ATTEMPT_COUNT) == {"outcome=ok provider=leaf route=leaf": 800}
    assert metering.counts(semconv.CALL_DURATION) == {"outcome=ok": 800}


def test_an_sdk_that_fails_is_no_trouble_for_the_call(
    kit: Any, ask: Request, metering: Metering, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from opentelemetry.sdk.metrics import Counter

    def broken(*args: Any, **kwargs: Any) -> None:
        raise OSError("broken")

    monkeypatch.setattr(inspect.getmodule(Counter)._Counter, "add", broken)  # type: ignore[union-attr]
    assert Stack([Metrics(metering.provider)], kit.Leaf())(ask).text == "answer"
    assert [record.getMessage() for record in caplog.records] == ["metrics could not be recorded"]


def test_it_is_one_of_the_standard_layers(kit: Any, ask: Request, metering: Metering) -> None:
    Stack(standard(meter_provider=metering.provider), Fallback(Route("a", kit.Leaf())))(ask)
    assert metering.counts(semconv.ATTEMPT_COUNT) == {"outcome=ok provider=leaf route=a": 1}


@pytest.mark.parametrize(
    "options", [{"provider": 1}, {"reasons": "words"}, {"reasons": {1}}, {"scope": "route"}, {"name": ""}]
)
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError), match="Metrics"):
        Metrics(**options)


def test_inside_a_retry_of_the_whole_call_it_is_refused(kit: Any) -> None:
    with pytest.raises(ValueError, match="measured once"):
        Stack([Retry(scope="call"), Metrics()], kit.Leaf())


def test_it_pickles() -> None:
    assert pickle.loads(pickle.dumps(Metrics())) == Metrics()


def test_a_call_whose_end_is_interrupted_is_measured_once(
    either_world: Any, ask: Request, metering: Metering, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = either_world.stack([Metrics(metering.provider)], lambda request: Reply("x"))

    def interrupted(meters: Meters) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(Meters, "record", interrupted)
        either_world.run(stack, ask)
    either_world.run(stack, ask)
    assert [point.count for point in metering.points(semconv.CALL_DURATION)] == [2]
