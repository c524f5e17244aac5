"""Many processes with one view of each provider: what one learns about it, all know.

    pip install 'mainstay[redis]'
    python examples/redis_fleet.py redis://127.0.0.1:6379/0 https://api.openai.com/v1

Redis down fails no call: each process then goes by what it knows.
"""

import sys

from mainstay.adapters import OpenAI
from mainstay.middleware import RedisCircuits, standard
from mainstay.pipeline import CircuitOpen, ProviderError, Request, Stack


def worker(redis: str, url: str) -> None:
    """What each process of the fleet runs; here one after the other."""
    circuits = RedisCircuits(redis)
    with Stack(standard(circuits=circuits), OpenAI(base_url=url, model="gpt-4o")) as stack:
        try:
            print("answered:", stack(Request("gpt-4o", "Why is the sky blue?")).text)
        except CircuitOpen as error:
            print("refused without a request:", error.reason)
        except ProviderError as error:
            print("failed after", len(error.attempts), "requests:", error.reason)
    circuits.close()


if __name__ == "__main__":
    for _ in range(4):
        worker(*sys.argv[1:])
