"""One process of a fleet: asks a provider when standard input says so, and says on standard output how it went.

Arguments: the URL of Redis, the base URL of the provider.
"""

from __future__ import annotations

import logging
import sys
from concurrent.futures import ThreadPoolExecutor

from mainstay.adapters import OpenAI
from mainstay.middleware import CircuitBreaker, RedisCircuits
from mainstay.pipeline import ProviderError, Request, Stack

THREADS = 8


class Lines(logging.Handler):
    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        Lines.count += record.levelno >= logging.WARNING


def main(redis: str, provider: str) -> None:
    logging.getLogger("mainstay").addHandler(Lines())
    circuits = RedisCircuits(redis, timeout=2.0, pause=0.2)
    breaker = CircuitBreaker(circuits=circuits, failures=3, break_min=600.0, break_max=600.0)
    adapter = OpenAI("sk-key", base_url=provider)
    stack = Stack([breaker], adapter)

    def ask(number: int = 0) -> str:
        try:
            return stack(Request("m", "hello")).text
        except ProviderError as error:
            return type(error).__name__

    with ThreadPoolExecutor(THREADS) as pool:
        for line in sys.stdin:
            word, _, count = line.strip().partition(" ")
            if word == "many":  # a line half-way, so that something can happen in the middle
                for part in range(2):
                    outcomes = sorted(set(pool.map(ask, range(int(count)))))
                    print(part, *outcomes, flush=True)
            elif word == "lines":
                print(Lines.count, flush=True)
            else:
                print({"ask": ask, "close": stack.part("breaker").close}[word](), flush=True)
    circuits.close()
    adapter.close()


main(*sys.argv[1:])
