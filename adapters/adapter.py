"""Adapter: a codec and a transport, joined into a handler.

An adapter tries once. It retries nothing, remembers nothing and hides nothing: that is what layers are for. What it
owes them is the truth about one attempt: a reply that is whole, or an error of the right class, in the time allowed.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from ..pipeline import Call, Clock, Problem, ProviderError, Reply, Request, Secret, TimedOut, Timeouts
from ..pipeline.closing import Closing
from .arriving import Arriving, Clocks
from .cleaning import clean, request_id_in
from .codec import Codec, HttpCall, WireCall
from .incoming import WAITED, Arrival, Incoming, Now
from .redact import spelled
from .worlds import Waits, run

if TYPE_CHECKING:
    from .probing import Inquiry, Model, Probe

__all__ = ["Adapter", "Joined", "Transport"]

C = TypeVar("C", bound=WireCall)
C_contra = TypeVar("C_contra", bound=WireCall, contravariant=True)


class Transport(Protocol[C_contra]):
    """What carries a call to a provider and its answer back: see HttpTransport and ProcessTransport."""

    def send(self, call: C_contra, *, connect: float, until: float, now: Now) -> Incoming:
        """Sends a call and waits until its answer begins.

        Args:
            call: what the codec made of the request.
            connect: seconds that a connection may take.
            until: the moment on the clock at which waiting ends, for all of it.
            now: the clock.

        Raises:
            TimedOut: with reason "connect", or WAITED for the rest.
            ProviderError: if the provider cannot be reached.
        """

    def close(self) -> None:
        """Frees what it holds."""


class Joined:
    """A codec and a transport, joined: what the adapters of both worlds have in common, which is all but the waiting.

    `Adapter` is the one for threads, and says what the arguments are.

    Attributes:
        url: where chat requests go, without a query, for traces; "" if that is no HTTP.
    """

    _reply: ClassVar[type[Reply]]  # what a stream becomes in this world
    _arriving: ClassVar[Any]  # what its chunks arrive through: an Unfolding

    def __init__(
        self,
        codec: Codec[C],
        transport: Any,
        *,
        model: str | None = None,
        timeouts: Timeouts | None = None,
        secrets: Iterable[Secret] = (),
        provider: str | None = None,
    ) -> None:
        self.codec: Codec[Any] = codec
        self.transport = transport
        self.model = model
        self.timeouts = timeouts or Timeouts()
        self.provider = provider or codec.provider
        self.label = codec.label
        base, path = getattr(transport, "base_url", ""), getattr(codec, "path", "")
        self.url = f"{base}{path.partition('?')[0]}" if base and path else ""
        self._secrets = spelled((*secrets, *getattr(transport, "secrets", ())))

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port of the provider, for traces; None if the transport has none."""
        return getattr(self.transport, "address", None)

    @property
    def fingerprint(self) -> str:
        """Which key it has, for people who have several: the beginning of its SHA-256; "" without a key."""
        return next((secret.fingerprint for secret in self._secrets if secret), "")

    def check(self, request: Request) -> tuple[Problem, ...]:
        """Everything that is wrong with the request, found without sending it; empty if it may be sent."""
        return self.codec.check(request)

    def _attempt(self, request: Request) -> Waits[Reply]:
        """One attempt, in either world."""
        clocks = Clocks(self.timeouts, request.call if request.under_way else Call(), request.stream)
        incoming: Arrival | None = None

        def tell(error: ProviderError, cause: BaseException | None = None) -> ProviderError:
            return self._tell(error, cause, request, incoming)

        failure, cause = None, None
        reply: Reply
        try:
            call = self.codec.encode(request)
            incoming = yield self.transport.send(call, connect=clocks.connect, until=clocks.until(), now=clocks.now)
            if request.stream and 200 <= incoming.status < 300 and self.codec.streams(incoming.headers):
                chunks = self._arriving(incoming, self.codec.decoder(), clocks, tell)
                reply = yield self._reply.stream(chunks, provider=self.provider, model=request.model)
            else:
                # The body has no name here: tools that show errors show the variables of frames.
                with closing(incoming):
                    reply = self.codec.decode(
                        incoming.status, incoming.headers, (yield incoming.read_all(clocks.until()))
                    )
                reply.provider = self.provider
                reply.model = reply.model or request.model
                if request.stream:  # the server does not stream: its one answer is a stream of one chunk
                    reply = yield self._reply.stream(self._chunks(reply), provider=self.provider, model=reply.model)
        except ProviderError as error:
            failure, cause = error, error.__cause__
        if failure is None:
            if call.changes:
                reply.changes = {**call.changes, **reply.changes}
            if self.url and incoming is not None:
                reply.status = incoming.status
                reply._request_id = partial(request_id_in, incoming.headers, self._secrets)
            return reply
        # Another reason is the provider's own time-out, or one that the stream has told.
        late = isinstance(failure, TimedOut) and failure.reason == WAITED
        try:
            if late:
                raise tell(clocks.too_late(), cause)
            raise tell(failure, cause)
        finally:
            del failure, cause  # whose tracebacks hold this frame

    def __repr__(self) -> str:
        model = f", model={self.model!r}" if self.model else ""
        return f"{type(self).__name__}({self.transport!r}{model})"

    @staticmethod
    def _chunks(reply: Reply) -> Any:
        """The one chunk of a finished reply, to be iterated in this world."""
        raise NotImplementedError

    @staticmethod
    def _sleep(clock: Clock, seconds: float) -> Any:
        """Lets time pass, in this world."""
        raise NotImplementedError

    @staticmethod
    def _over_http(base_url: str, **options: Any) -> Any:
        """The transport over HTTP in this world; the options are those of HttpTransport."""
        raise NotImplementedError

    def _inquiry(self, model: str | None, timeout: float, clock: Clock | None) -> Inquiry:
        from .probing import Inquiry

        return Inquiry(self, model, timeout, clock)

    def _tell(
        self, error: ProviderError, cause: BaseException | None, request: Request, incoming: Arrival | None
    ) -> ProviderError:
        """Completes an error: who, what, which request and why; without keys and without the prompt."""
        error.provider = self.provider
        error.model = error.model or request.model
        if incoming is not None and error.request_id is None:
            error.request_id = request_id_in(incoming.headers)
        error.with_traceback(None)  # whose frames hold what was sent and answered
        error.__cause__ = error.__context__ = cause  # not a decoder's error, which holds the body
        clean(error, self._secrets, request)
        return error


class Adapter(Joined, Closing):
    """A handler that speaks to one provider. Thread-safe; connections are pooled and shared.

    Args:
        codec: the protocol.
        transport: what moves the bytes.
        model: the model for callers that name none; None if there is none.
        timeouts: the four clocks.
        secrets: keys that no error may show, besides those that the transport knows of.
        provider: the name in replies and errors; None is the codec's.
    """

    _reply = Reply
    _arriving = Arriving
    transport: Transport[Any]
    blocking = True  # an event loop is not to wait for it

    def __call__(self, request: Request) -> Reply:
        """Makes one attempt.

        Args:
            request: with the provider's own name of the model.

        Returns:
            A finished reply, or, for a stream, one that is arriving and whose first meaningful event is in hand.

        Raises:
            InvalidParameters: if the protocol has no words for the request; nothing was sent.
            TimedOut: with reason "connect", "first_event", "gap" or "total", by the clock that ran out.
            DeadlineExceeded: if the call's own deadline came first.
            TruncatedStream: if the answer broke off.
            ProviderError: of the class that the provider's answer means.
        """
        return run(self._attempt(request))

    def models(self, timeout: float = 10.0, *, clock: Clock | None = None) -> tuple[Model, ...]:
        """The models that the provider lists, in its own order.

        Args:
            timeout: seconds for the whole list, more than 0.
            clock: the real one unless given.

        Raises:
            ProviderError: as for a request; with reason "malformed_response" if the answer is no list of models, with
                reason "not_supported" if the protocol has none.
            ValueError: if the timeout is none.
        """
        return run(self._inquiry(None, timeout, clock).models())

    def probe(self, model: str | None = None, timeout: float = 10.0, *, clock: Clock | None = None) -> Probe:
        """Asks whether the provider would answer: is it there, is the key good, has it the model?

        No chat request is made: it would cost money, or make a server load a model.

        Args:
            model: the model to look for; the adapter's own unless given. Without one, none is looked for.
            timeout: seconds for all of it, more than 0.
            clock: the real one unless given.

        Raises:
            ModelNotFound: if the provider does not have the model.
            ProviderError: as for a request, if the provider would not answer one.
            ValueError: if the timeout is none.
        """
        return run(self._inquiry(model or self.model, timeout, clock).probe())

    def close(self) -> None:
        """Closes idle connections. The adapter can be used again."""
        self.transport.close()

    @staticmethod
    def _chunks(reply: Reply) -> Any:
        return iter(reply)

    @staticmethod
    def _sleep(clock: Clock, seconds: float) -> Any:
        return clock.sleep(seconds)

    @staticmethod
    def _over_http(base_url: str, **options: Any) -> Transport[HttpCall]:
        from .http import HttpTransport

        return HttpTransport(base_url, **options)
