"""NativeCall: what a protected client was called with. It travels as `Request.native`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

from ...pipeline import InvalidRequest, Request
from ..codec import HttpCodec
from .asked import DESCRIBED, Asked, described, plain
from .methods import Method

__all__ = ["DOORS", "NativeCall", "OllamaCall", "PostCall"]

DOORS: Mapping[str, str] = {"openai": "post", "anthropic": "post", "ollama": "_request"}
"""The method through which every resource of a client sends, by its library.

`post` is public in OpenAI's and Anthropic's clients, for endpoints that they do not know. Ollama's has none that is.
"""


class NativeCall:
    """One call of a protected method, as it goes through the client's door.

    Attributes:
        method: which one it is.
        client: the protected client that was called.
        own: the door that the client had before it was protected.
        family: the client's library.
        stream: whether a stream is wanted.
        alone: whether only clients of the same shape can answer.
    """

    __slots__ = ("_messages", "_model", "_params", "alone", "body", "client", "family", "kwargs", "method", "own",
                 "stream")  # fmt: skip

    def __init__(
        self,
        method: Method,
        client: Any,
        own: Callable[..., Any],
        family: str,
        body: Mapping[str, Any],
        stream: bool,
        kwargs: Mapping[str, Any],
    ) -> None:
        self.method = method
        self.client = client
        self.own = own
        self.family = family
        # What can be read only once would be gone when it is sent again.
        self.body = {name: list(value) if isinstance(value, Iterator) else value for name, value in body.items()}
        self.stream = stream
        self.alone = False
        self.kwargs = kwargs

    @property
    def extra(self) -> Mapping[str, Any]:
        """What is sent besides the arguments that the method knows."""
        return {}

    def request(self) -> Request:
        """The call as a Request."""
        body = plain({**self.body, **self.extra})
        try:
            asked = self.method.ask(body)
            request = self._as_request(body, asked)
        except (KeyError, TypeError, ValueError, AttributeError):
            # No request that we understand. The provider may; if not, its own words are what the caller knows.
            asked = described(body)._replace(messages=DESCRIBED)
            request = self._as_request(body, asked)
        self.alone = asked.alone
        self._model, self._messages, self._params = request.model, request.messages, request.params
        return request

    def _as_request(self, body: Mapping[str, Any], asked: Asked) -> Request:
        model = body.get("model")
        named = model if isinstance(model, str) and model else "unnamed"
        return Request(named, asked.messages, asked.params, stream=self.stream, native=self)

    def body_for(self, request: Request) -> Mapping[str, Any]:
        """The native arguments for a request that a layer or a route may have changed on its way.

        Raises:
            InvalidRequest: if it was changed in a way that cannot be said natively.
        """
        body = self.body
        if request.messages is not self._messages or request.params is not self._params:
            codec = self.method.codec
            if codec is None or self.alone:
                raise InvalidRequest(
                    f"a layer or a route changed the request, but {self.method.name} can only be sent as it came",
                    reason="unsupported_feature",
                )
            said = self._said(codec, request)
            # What the codec says of its own, such as a default or how to stream, is as the caller has it.
            own = self._said(codec, request.replace(messages=self._messages, params=self._params)).keys() - body.keys()
            return {**{name: said[name] for name in said if name not in own}, **self._streaming()}
        return body if request.model == self._model else {**body, "model": request.model}

    def _said(self, codec: HttpCodec, request: Request) -> dict[str, Any]:
        said = codec.body(request)[0]
        if "max_completion_tokens" in self.body and "max_tokens" in said:  # the word that the caller has for it
            said["max_completion_tokens"] = said.pop("max_tokens")
        return said

    def _streaming(self) -> dict[str, Any]:
        return {name: self.body[name] for name in ("stream", "stream_options") if name in self.body}

    def send(self, client: Any, body: Mapping[str, Any]) -> Any:
        """Sends the call once.

        Args:
            client: another client of the same shape, or None for the one that was called.
            body: its arguments.
        """
        raise NotImplementedError

    @property
    def http(self) -> Any:
        """The HTTP library of the client: they have been through more than one."""
        return _library(self.client._client)

    def request_sent(self) -> Any:
        """An HTTP request such as the client would have sent, without its contents."""
        base = getattr(self.client, "base_url", None) or self.client._client.base_url
        return self.http.Request("POST", f"{str(base).rstrip('/')}{self.kwargs['path']}")

    def build(self, data: dict[str, Any]) -> Any:
        """The client's own type of a whole answer."""
        raise NotImplementedError

    def build_event(self, data: dict[str, Any]) -> Any:
        """The client's own type of one event of a stream."""
        raise NotImplementedError

    def parsed(self, answer: Any) -> Any:
        """What the caller gets of a whole answer: some helpers have the client's own answer parsed further."""
        return answer

    def __repr__(self) -> str:  # never what was asked
        return f"<native {self.method.name}>"


class PostCall(NativeCall):
    """A call of OpenAI's or Anthropic's client: `post(path, cast_to=..., body=..., options=..., stream=...)`."""

    __slots__ = ()

    @property
    def extra(self) -> Mapping[str, Any]:
        """What the caller gave as `extra_body`."""
        extra = self.kwargs["options"].get("extra_json")
        return extra if isinstance(extra, Mapping) else {}

    def send(self, client: Any, body: Mapping[str, Any]) -> Any:
        door = self.own if client is None else client.post
        options = {**self.kwargs["options"], "max_retries": 0}
        options.pop("post_parser", None)  # its errors are about what the caller makes of the answer
        return door(**{**self.kwargs, "body": body, "options": options})

    def response(self, status: int = 200, headers: Mapping[str, str] | None = None) -> Any:
        """An HTTP response to it, for those who ask an answer or an error for one."""
        return self.http.Response(status, headers=dict(headers or {}), request=self.request_sent())

    def build(self, data: dict[str, Any]) -> Any:
        return self._made(data, self.kwargs["cast_to"])

    def parsed(self, answer: Any) -> Any:
        parse = self.kwargs["options"].get("post_parser")
        return parse(answer) if callable(parse) else answer

    def build_event(self, data: dict[str, Any]) -> Any:
        return self._made(data, get_args(self.kwargs["stream_cls"])[0])

    def _made(self, data: dict[str, Any], cast_to: Any) -> Any:
        return self.client._process_response_data(data=data, cast_to=cast_to, response=self.response())


class OllamaCall(NativeCall):
    """A call of Ollama's client: `_request(type, "POST", path, json=..., stream=...)`."""

    __slots__ = ()

    def send(self, client: Any, body: Mapping[str, Any]) -> Any:
        door = self.own if client is None else client._request
        kwargs: dict[str, Any] = {**self.kwargs["more"], "json": body, "stream": self.stream}
        return door(self.kwargs["cls"], "POST", self.kwargs["path"], **kwargs)

    def build(self, data: dict[str, Any]) -> Any:
        return self.kwargs["cls"](**data)

    build_event = build


def _library(http_client: Any) -> Any:
    for base in type(http_client).__mro__:
        root = base.__module__.partition(".")[0]
        if root.startswith("httpx"):
            return sys.modules[root]
    raise TypeError(f"{type(http_client).__name__} is of no HTTP library that is known: httpx or httpx2 is expected")
