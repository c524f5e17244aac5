"""HTTP clients as people use them bare: what all ratios are ratios to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import requests
import urllib3

from .peer import MODEL, PARAMS, PROMPT, Peer

__all__ = ["Requests", "Urllib3"]

_HEADERS = {"Authorization": "Bearer sk-bench"}
_BODY: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}], **PARAMS}


class Requests(Peer):
    """One Session, `post(json=...)`, `raise_for_status()`, `json()`."""

    def __init__(self, primary: str, backup: str = "", timeout: float = 60.0) -> None:
        super().__init__(primary, backup, timeout)
        self.session = requests.Session()
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=64)
        self.session.mount("http://", adapter)

    def post(self, base: str) -> str:
        url = f"{base}/v1/chat/completions"
        response = self.session.post(url, json=_BODY, headers=_HEADERS, timeout=self.timeout)
        response.raise_for_status()
        return str(response.json()["choices"][0]["message"]["content"])

    def ask(self) -> str:
        return self.post(self.primary)

    def stream(self) -> Iterator[str]:
        url = f"{self.primary}/v1/chat/completions"
        body = {**_BODY, "stream": True}
        with self.session.post(url, json=body, headers=_HEADERS, timeout=self.timeout, stream=True) as response:
            response.raise_for_status()
            for line in response.iter_lines():
                if line.startswith(b"data: ") and line != b"data: [DONE]":
                    yield json.loads(line[6:])["choices"][0]["delta"].get("content") or ""


class Urllib3(Peer):
    """The floor: what is below requests, and what a token costs that is read with `read1`."""

    def __init__(self, primary: str, backup: str = "", timeout: float = 60.0) -> None:
        super().__init__(primary, backup, timeout)
        self.pool = urllib3.PoolManager(maxsize=64)

    def _send(self, stream: bool) -> Any:
        body = json.dumps({**_BODY, "stream": stream}).encode()
        url = f"{self.primary}/v1/chat/completions"
        headers = {**_HEADERS, "Content-Type": "application/json"}
        return self.pool.request("POST", url, body=body, headers=headers, timeout=self.timeout, preload_content=False)

    def ask(self) -> str:
        response = self._send(False)
        try:
            return str(json.loads(response.read())["choices"][0]["message"]["content"])
        finally:
            response.release_conn()

    def stream(self) -> Iterator[str]:
        response = self._send(True)
        rest = b""
        try:
            while data := response.read1(65536):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    if line.startswith(b"data: ") and line != b"data: [DONE]":
                        yield json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
        finally:
            response.close()
