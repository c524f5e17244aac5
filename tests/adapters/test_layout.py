"""Where things stand: framing in one module, codecs that are small and pure. Read from the source, so it stays so."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from mainstay import adapters

FOLDER = Path(adapters.__file__).parent
# By dotted name; a package goes by its own. The sandbox is the other side: a server writes what others cut.
MODULES = {
    ".".join(file.relative_to(FOLDER).with_suffix("").parts).removesuffix(".__init__"): file
    for file in sorted(FOLDER.rglob("*.py"))
    if "sandbox" not in file.parts
}

# What cuts text or bytes into lines, whoever has it.
CUTTERS = {"iter_lines", "iter_content", "iter_text", "readline", "readlines", "splitlines"}
SPLITTERS = {"split", "rsplit", "partition", "rpartition", "find", "rfind", "index", "replace", "endswith"}
LINE_ENDS = ("\n", "\r", "\r\n", "\n\n", "\r\n\r\n", "\r\r")
FIELDS = ("data:", "event:", "retry:")
ALLOWED = {
    ("classify", "splitlines"),  # the lines that a process wrote on stderr
    ("warm", "find"),  # the end of a response's head
    ("warm", "split"),  # its lines
    ("wire", "find"),  # the CRLF behind the size of an HTTP chunk
    ("history", "'data:'"),  # the addresses of images in place
    ("redact", "'data:'"),  # the same
    ("protect.asked", "'data:'"),  # the same
    ("clients.speech", "b'data: '"),  # what a client has cut, put together again for the decoder
}

# Words and doors to the world outside.
OUTSIDE = {"requests", "urllib3", "httpx", "aiohttp", "http", "socket", "ssl", "select", "selectors", "asyncio", "io",
           "os", "subprocess", "signal", "threading", "multiprocessing", "tempfile", "shutil", "pathlib"}  # fmt: skip
TRANSPORTS = {"adapter", "arriving", "async_adapter", "async_http", "async_process", "async_ready", "environment",
              "http", "incoming", "origin", "process", "ready", "sockets", "warm", "wire", "worlds"}  # fmt: skip
DOORS = {"open", "print", "input", "exec", "eval"}


def framing_in(source: str) -> Iterator[str]:
    """Everything in a module that cuts lines, or looks for the fields of server-sent events."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in CUTTERS:
            yield node.attr
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SPLITTERS:
            if node.args and text_of(node.args[0]) in LINE_ENDS:
                yield node.func.attr
        elif isinstance(node, ast.For) and isinstance(node.iter, ast.Attribute) and node.iter.attr in ("stdout", "raw"):
            yield ast.unparse(node.iter)
        elif isinstance(node, ast.Constant) and text_of(node).strip() in FIELDS:
            yield repr(node.value)


def has_codec(source: str) -> bool:
    """Whether a codec is defined in a module."""
    classes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]
    return any(ast.unparse(base).partition("[")[0].endswith("Codec") for node in classes for base in node.bases)


def text_of(node: ast.expr) -> str:
    """The text of a constant, be it text or bytes; "" of anything else."""
    value = getattr(node, "value", None)
    return value.decode("latin-1") if isinstance(value, bytes) else value if isinstance(value, str) else ""


def imports_of(module: str) -> Iterator[str]:
    """What a module imports, when it is loaded or later: neighbours by dotted name, after a dot; others in short."""
    is_package = MODULES[module].name == "__init__.py"
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.level <= len(package) + 1:
            base = package[: len(package) + 1 - node.level]
            for name in [node.module] if node.module else [alias.name for alias in node.names]:
                yield "." + ".".join([*base, name])


def calls_of(module: str) -> Iterator[str]:
    """The names of the functions that a module calls."""
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


CODECS = sorted(
    {"claude_request", "openai_wire", "stream"}
    | {name for name, file in MODULES.items() if has_codec(file.read_text())}
)


def test_only_one_module_cuts_streams() -> None:
    others = [(module, file.read_text()) for module, file in MODULES.items() if module != "stream"]
    assert {(module, what) for module, source in others for what in framing_in(source)} == ALLOWED


@pytest.mark.parametrize(
    "source",
    [
        "for line in response.iter_lines(): pass",
        "lines = body.splitlines()",
        "head, _, rest = buffer.partition(b'\\n\\n')",
        "rows = text.split('\\n')",
        "end = buffer.find(b'\\r\\n', start)",
        "for line in process.stdout: pass",
        "if line.startswith(b'data: '): pass",
        "if line.startswith('data:'): pass",
        "if line[:6] == b'event:': pass",
    ],
)
def test_framing_is_seen(source: str) -> None:
    assert list(framing_in(source))


@pytest.mark.parametrize("source", ["a.split()", "b.partition(',')", "'data:image/png'", "x['data']", "raw.read1(9)"])
def test_what_is_no_framing_is_not(source: str) -> None:
    assert not list(framing_in(source))


def test_framing_is_where_it_belongs() -> None:
    assert {"split", "b'data: '"} <= set(framing_in(MODULES["stream"].read_text()))


@pytest.mark.parametrize("module", CODECS)
def test_a_codec_is_small(module: str) -> None:
    assert len(MODULES[module].read_text().splitlines()) <= 300


@pytest.mark.parametrize("module", CODECS)
def test_a_codec_does_no_io_nor_does_what_it_is_built_on(module: str) -> None:
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        current = waiting.pop()
        seen.add(current)
        found = set(imports_of(current))
        assert found.isdisjoint(OUTSIDE), current
        assert found.isdisjoint({f".{name}" for name in TRANSPORTS}), current
        assert DOORS.isdisjoint(calls_of(current)), current
        neighbours = {name[1:] for name in found if name.startswith(".")}
        assert neighbours <= MODULES.keys(), current
        waiting.extend(neighbours - seen)
    assert "time" not in set(imports_of(module))
    assert module in ("stream", "openai_wire") or len(seen) > 3


def test_every_codec_is_looked_at() -> None:
    assert {"claude", "codec", "llama_cpp", "ollama", "openai", "openrouter"} <= set(CODECS)
