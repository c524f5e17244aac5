"""A stack of your own: which layers, in which order, with which numbers.

    python examples/custom_stack.py https://api.openai.com/v1 https://api.anthropic.com

Keys come from OPENAI_API_KEY and ANTHROPIC_API_KEY.
"""

import sys

from mainstay.adapters import Claude, OpenAI
from mainstay.middleware import CircuitBreaker, Deadline, Fallback, Log, Retry, Validate
from mainstay.pipeline import ProviderError, Request, Stack


def main(openai_url: str, claude_url: str) -> None:
    layers = [Deadline(30), Log(), Validate(), Retry(attempts=2), CircuitBreaker(failures=3)]
    routes = Fallback(
        OpenAI(base_url=openai_url, model="gpt-4o"), Claude(base_url=claude_url, model="claude-sonnet-4-5")
    )
    with Stack(layers, routes) as stack:
        print(stack)
        try:
            reply = stack(Request("gpt-4o", "Why is the sky blue?", {"temperature": 0.2}))
        except ProviderError as error:
            sys.exit(f"{error}\n{error.hint}")
        print(reply.provider, "answers:", reply.text)


if __name__ == "__main__":
    main(*sys.argv[1:])
