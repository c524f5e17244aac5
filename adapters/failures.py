"""What goes wrong without an answer: exceptions of HTTP clients, and the last words of a process, as tables.

Exceptions are recognised by the names of their classes and by their text, never by importing the library that
raised them, so that requests, urllib3, httpx, aiohttp and the providers' own clients are all served. The order of
the rows matters: requests raises a read timeout inside a body as a plain ConnectionError, a ConnectTimeout is a
ConnectionError too, and a proxy's refused connection is about the proxy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..pipeline import ErrorClass
from .rules import Rule

__all__ = ["EXITS", "PROCESS_RULES", "TRANSPORT", "Failure"]

A, R = ErrorClass.AUTHENTICATION, ErrorClass.RATE_LIMIT
T, U = ErrorClass.TIMEOUT, ErrorClass.UNAVAILABLE
M, I = ErrorClass.MODEL_NOT_FOUND, ErrorClass.INVALID_REQUEST  # noqa: E741 - the letters of one table


@dataclass(frozen=True, slots=True)
class Failure:
    """One row: an exception with one of these class names, or one of these words (lower case) in its text."""

    error_class: ErrorClass
    reason: str
    names: frozenset[str] = frozenset()
    words: tuple[str, ...] = ()


def _row(error_class: ErrorClass, reason: str, names: str = "", *words: str) -> Failure:
    return Failure(error_class, reason, frozenset(names.split()), words)


TRANSPORT: Final[tuple[Failure, ...]] = (
    _row(A, "bad_key", "InvalidHeader UnicodeEncodeError", "in header value", "invalid header value",
         "illegal header value"),
    _row(A, "bad_key", "NoCredentialsError PartialCredentialsError CredentialRetrievalError DefaultCredentialsError",
         "unable to locate credentials", "no credentials found", "default credentials"),
    _row(T, "connect", "ConnectTimeout ConnectTimeoutError ConnectionTimeoutError", "connect timeout",
         "connect timed out", "tls handshake timeout", "und_err_connect_timeout", "errno 110]", "errno 60]",
         "winerror 10060]"),
    _row(T, "pool", "PoolTimeout EmptyPoolError"),
    _row(T, "read", "ReadTimeout ReadTimeoutError WriteTimeout ServerTimeoutError SocketTimeoutError SocketTimeout",
         "read timed out", "read operation timed out", "write operation timed out", "read timeout",
         "und_err_headers_timeout", "und_err_body_timeout"),
    _row(U, "proxy",
         "ProxyError ProxyConnectionError ClientProxyConnectionError InvalidProxyURL ClientHttpProxyError",
         "cannot connect to proxy", "unable to connect to proxy", "tunnel connection failed"),
    _row(U, "tls", "SSLError SSLCertVerificationError SSLEOFError CertificateError ClientConnectorCertificateError "
         "ClientConnectorSSLError SSLZeroReturnError ClientSSLError", "certificate verify failed",
         "certificate_verify_failed", "[ssl:", "[ssl]", "ssl routines", "ssl handshake", "tls handshake",
         "wrong version number", "unable to get local issuer",
         "self-signed certificate", "self signed certificate", "certificate has expired"),
    _row(U, "dns", "NameResolutionError gaierror ClientConnectorDNSError", "failed to resolve", "name resolution",
         "getaddrinfo", "name or service not known", "nodename nor servname", "enotfound", "eai_again",
         "no address associated", "no such host", "name does not resolve", "could not resolve host", "dns error",
         "dns lookup"),
    _row(U, "connection_refused", "ConnectionRefusedError", "connection refused", "econnrefused", "actively refused",
         "connect call failed", "errno 111]", "errno 61]", "winerror 10061]"),
    _row(U, "unreachable", "", "no route to host", "network is unreachable", "host is down", "host is unreachable",
         "ehostunreach", "enetunreach", "winerror 10051]", "winerror 10065]"),
    _row(U, "malformed_response", "BadStatusLine LineTooLong UnknownProtocol InvalidHTTPResponse BadHttpMessage",
         "badstatusline", "linetoolong", "illegal status line", "not http", "malformed http"),
    _row(U, "truncated_stream", "ChunkedEncodingError IncompleteRead InvalidChunkLength ClientPayloadError",
         "connection broken", "ended prematurely", "incompleteread", "incomplete chunked read",
         "without sending complete message body", "payload is not completed", "unexpected eof", "premature close",
         "terminated unexpectedly", "closed mid-response"),
    _row(U, "malformed_response", "ContentDecodingError DecodeError DecodingError JSONDecodeError ContentTypeError "
         "APIResponseValidationError UnicodeDecodeError", "failed to decode it", "expecting value: line"),
    _row(U, "connection_reset", "ConnectionResetError RemoteDisconnected ServerDisconnectedError BrokenPipeError "
         "ConnectionAbortedError ClientOSError", "connection reset", "econnreset", "remote end closed", "broken pipe",
         "server disconnected", "connection aborted", "socket hang up", "forcibly closed", "epipe", "winerror 10053]",
         "winerror 10054]"),
    _row(I, "redirect", "TooManyRedirects"),
    _row(I, "bad_url", "InvalidURL MissingSchema InvalidSchema UnsupportedProtocol LocationParseError "
         "LocationValueError InvalidUrlClientError InvalidURLError URLRequired", "no host supplied",
         "no scheme supplied", "invalid url '"),
    _row(T, "timeout", "Timeout TimeoutException TimeoutError APITimeoutError timeout", "timed out", "etimedout",
         "timeout was reached", "operation timeout", "deadline_exceeded", "deadline exceeded"),
    _row(U, "binary_missing", "FileNotFoundError"),
    _row(U, "binary_missing", "PermissionError"),
)  # fmt: skip
"""Exceptions by what they are; the first row that fits says it."""

CONNECTION: Final = _row(U, "connection",
                         "ConnectionError APIConnectionError ConnectError NetworkError ProtocolError "
                         "RemoteProtocolError NewConnectionError ClientConnectorError ClientConnectionError ReadError "
                         "WriteError CloseError TransportError MaxRetryError RequestException HTTPError OSError",
                         "connection error", "max retries exceeded", "fetch failed", "error sending request",
                         "failed to connect", "unable to connect", "cannot connect", "closed the connection",
                         "connectionterminated", "connectionstate.closed", "goaway")  # fmt: skip
"""What is left of a lost connection when neither a row above nor the text says more."""

PROCESS_RULES: Final[tuple[Rule, ...]] = (
    Rule(U, "binary_missing", markers=("error while loading shared libraries", "command not found",
                                       "cannot execute", "exec format error", "library not loaded")),
    Rule(I, "bad_parameter", markers=("error while handling argument", "invalid argument:", "unknown argument",
                                      "error parsing grammar", "failed to parse grammar", "template is not supported",
                                      "input is empty", "unrecognized option", "unknown option", "invalid parameter",
                                      "unsupported chat template", "failed to parse")),
    Rule(I, "context_length", markers=("prompt is too long", "exceeds the available context", "context size exceeded",
                                       "exceeds context")),
    Rule(U, "dns", markers=("no such host", "could not resolve", "name resolution", "network is unreachable")),
    Rule(U, "out_of_memory", markers=("bad_alloc", "out of memory", "outofmemory", "outofdevicememory",
                                      "outofhostmemory", "failed to allocate", "unable to allocate",
                                      "cannot allocate", "insufficient memory", "more system memory",
                                      "signal: killed")),
    Rule(U, "bad_model_file", markers=("unknown model architecture", "failed to read", "corrupted",
                                       "not within the file",
                                       "invalid magic", "bad magic", "(magic, version)", "only supports up to version",
                                       "unsupported model", "permission denied", "unsupported file", "invalid gguf",
                                       "wrong number of tensors", "unknown pre-tokenizer", "unknown tokenizer",
                                       "key not found in model", "wrong shape", "missing tensor", "unknown tensor",
                                       "tensor ''")),
    # Last: "failed to load" without a word on why the file could not be read means that it is not there.
    Rule(M, "model", markers=("model is required", "no model specified", ("failed to open", "no such file"),
                              ("model", "does not exist"), ("model", "not found"), "file does not exist",
                              "failed (404)", "response code: 404", "http code: 404", "failed to open gguf file",
                              ("error loading model", "failed to load model from"),
                              ("error loading model", "failed to open"))),
    Rule(U, "model_load", markers=("failed to load", "unable to load model", "unable to create context",
                                   "error loading model", "failed to create context", "failed to init")),
    Rule(U, "startup", markers=("couldn't bind", "could not bind", "failed to bind", "address already in use",
                                "exiting due to")),
    Rule(U, "build", markers=("built without", "not compiled with", "was compiled without")),
    Rule(U, "connection_refused", markers=("not responding", "could not connect", "connection refused",
                                           "is it running")),
)  # fmt: skip
"""What a process says on stderr before it ends, llama.cpp's programs above all."""

EXITS: Final[dict[int, tuple[ErrorClass, str]]] = {
    127: (U, "binary_missing"),
    126: (U, "binary_missing"),
    -9: (U, "out_of_memory"),
    137: (U, "out_of_memory"),
    -15: (U, "terminated"),
    143: (U, "terminated"),
    -2: (U, "terminated"),
    130: (U, "terminated"),
    124: (T, "deadline"),
}
"""Exit codes that say something by themselves: those of the shell, of `timeout`, and signals."""
