"""Asks a provider what it can be asked besides chat: which models it has, and whether it would answer.

Nothing here costs money or makes a server load a model.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast
from urllib.parse import quote

from ..pipeline import Call, Clock, ErrorClass, ModelNotFound, ProviderError, Request, TimedOut, Unavailable
from .adapter import Joined
from .codec import HttpCall, HttpCodec
from .endpoints import Endpoints, Model, endpoints_of, field_of, model_of
from .hints import hint_for, hint_for_probe
from .incoming import WAITED, Arrival
from .shapes import any_json, malformed
from .worlds import Waits

__all__ = ["Inquiry", "Model", "Probe"]

T = TypeVar("T")
_PAGES = 20  # of a list that comes in pages, a thousand models each


@dataclass(frozen=True, slots=True)
class Probe:
    """What was found where a provider answered.

    Attributes:
        latency: seconds that it took, connections included.
        key: True if the key is good, False if the provider answers without one; None if one was sent, but is looked
            at only when something is to be paid for.
        model: the model that was asked for; None if none was, or the provider cannot tell.
    """

    latency: float
    key: bool | None
    model: Model | None = None


class Inquiry:
    """One question to one provider, with one moment at which it has to be answered."""

    def __init__(self, adapter: Joined, model: str | None, timeout: float, clock: Clock | None) -> None:
        """Starts the clock.

        Args:
            adapter: whose provider is asked.
            model: the model that is asked about, or None.
            timeout: seconds for all of it, more than 0.
            clock: the real one unless given.

        Raises:
            ValueError: if the timeout is none.
        """
        if not 0 < timeout < math.inf:
            raise ValueError(f"timeout must be a number of seconds, more than 0, not {timeout!r}")
        self._adapter = adapter
        self._model = model or ""
        self._timeout = timeout
        self._clock = clock or Clock()
        self._start = self._clock.now()
        self._incoming: Arrival | None = None

    def models(self) -> Waits[tuple[Model, ...]]:
        """Every model that the provider lists."""
        return self._told(self._list)

    def probe(self) -> Waits[Probe]:
        """Whether the provider answers, takes the key and has the model, by its cheapest endpoints."""
        return self._told(self._probe)

    def _probe(self) -> Waits[Probe]:
        ends = endpoints_of(self._adapter.codec)
        found = None
        if self._model and ends.one:
            found = yield from self._get(ends.one + quote(self._model, safe=":"), model_of)
        else:
            for path, name in ends.proofs:
                if path != ends.models or not self._model:
                    yield from self._get(path, partial(field_of, name=name))
            if self._model:
                found = self._find(ends, (yield from self._list()))
        key = any(map(bool, self._adapter._secrets))
        return Probe(self._clock.now() - self._start, None if key and ends.public else key, found)

    def _list(self) -> Waits[tuple[Model, ...]]:
        ends = endpoints_of(self._adapter.codec)
        found: list[Model] = []
        path = ends.models
        for _ in range(_PAGES):
            page, more = yield from self._get(path, ends.page)
            found += page
            if not more:
                return tuple(found)
            path = f"{ends.models}&after_id={quote(found[-1].id, safe='')}"
        raise malformed(f"the list of models has no end after {_PAGES} pages")

    def _find(self, ends: Endpoints, models: Sequence[Model]) -> Model | None:
        try:
            return ends.find(models, self._model)
        except LookupError:
            near = difflib.get_close_matches(self._model, [model.id for model in models], n=1)
            raise ModelNotFound(
                f"model not found: {self._model!r} is not on the provider's list",
                detail=f"the nearest is {near[0]!r}" if near else "",
                reason="model",
                hint=hint_for(self._adapter.codec.provider, ErrorClass.MODEL_NOT_FOUND, "model", ""),
            ) from None

    def _get(self, path: str, read: Callable[[Mapping[str, Any]], T]) -> Waits[T]:
        adapter = self._adapter
        call = HttpCall(path, cast(HttpCodec, adapter.codec).headers(False), b"", method="GET")
        until = self._start + self._timeout
        connect = adapter.timeouts.connect
        self._incoming = incoming = yield adapter.transport.send(
            call, connect=connect, until=until, now=self._clock.now
        )
        with closing(incoming):
            body = yield incoming.read_all(until)
        status, codec = incoming.status, cast(HttpCodec, adapter.codec)
        if not 200 <= status < 300:
            raise codec.meaning(status, incoming.headers, body) or Unavailable(status=status)
        try:
            answer = any_json(body)
            if not isinstance(answer, dict):
                raise malformed("the answer is no JSON object")
            return read(answer)
        except ProviderError as error:
            # A 200 may hold an error, or the page of some proxy: the classifier knows them better.
            meant = codec.meaning(status, incoming.headers, body)
            if meant is not None and meant.reason != error.reason:
                raise meant from None
            error.status = status
            raise

    def _told(self, ask: Callable[[], Waits[T]]) -> Waits[T]:
        """What is asked for, or an error that is complete and clean."""
        adapter = self._adapter
        failure, cause = None, None
        try:
            return (yield from ask())
        except ProviderError as error:
            failure, cause = error, error.__cause__
        if isinstance(failure, TimedOut) and failure.reason == WAITED:
            failure = TimedOut(f"timed out: no answer within {self._timeout:g} s", reason="total")
        failure.hint = failure.hint or hint_for_probe(failure.error_class, failure.reason)
        try:
            # No prompt is under way: a request without messages has only the model to tell.
            raise adapter._tell(failure, cause, Request(self._model, (), _call=Call(self._clock)), self._incoming)
        finally:
            del failure, cause  # whose tracebacks hold this frame
