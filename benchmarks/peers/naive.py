"""What people write themselves: tenacity around pybreaker around requests, and a second provider behind that."""

from __future__ import annotations

from functools import partial

import pybreaker
import requests
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from .raw import Requests

__all__ = ["Naive"]


class Naive(Requests):
    """Three tries with full jitter, a breaker for each provider (5 failures, 30 s), the second provider as a fallback.

    Their documentation has it so. Streams are only opened under them: neither sees how one ends.
    """

    falls_back = True

    def __init__(self, primary: str, backup: str = "", timeout: float = 60.0) -> None:
        super().__init__(primary, backup, timeout)
        self.breakers = {base: pybreaker.CircuitBreaker(fail_max=5, reset_timeout=30) for base in (primary, backup)}
        self.retrying = Retrying(
            retry=retry_if_exception(_may_help),
            wait=wait_random_exponential(multiplier=0.5, max=8),
            stop=stop_after_attempt(3),
            reraise=True,
        )

    def ask(self) -> str:
        try:
            return str(self.retrying(partial(self.breakers[self.primary].call, self.post, self.primary)))
        except (requests.RequestException, pybreaker.CircuitBreakerError):
            if not self.backup:
                raise
            return str(self.retrying(partial(self.breakers[self.backup].call, self.post, self.backup)))


def _may_help(error: BaseException) -> bool:
    if isinstance(error, requests.HTTPError):
        return error.response.status_code == 429 or error.response.status_code >= 500
    return isinstance(error, requests.RequestException)
