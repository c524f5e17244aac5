"""The client that you have, as it is: its methods, types and errors, with a stack and another provider beneath.

    pip install openai
    python examples/protected_client.py https://api.openai.com/v1 https://api.anthropic.com

One line of the application changes. Keys come from OPENAI_API_KEY and ANTHROPIC_API_KEY.
"""

import sys

import openai

from mainstay.adapters import Claude
from mainstay.middleware import standard
from mainstay.pipeline import Route
from mainstay.providers import protect


def main(openai_url: str, claude_url: str) -> None:
    claude = Route("claude", Claude(base_url=claude_url), model="claude-sonnet-4-5")
    with protect(openai.OpenAI(base_url=openai_url), standard(), fallback=[claude]) as client:  # the line
        try:
            ask(client)
        except openai.APIError as error:
            print(type(error).__name__, "after", len(error.provider_error.attempts), "requests")


def ask(client: openai.OpenAI) -> None:
    """The application, which knows nothing of it."""
    question = [{"role": "user", "content": "Why is the sky blue?"}]
    answer = client.chat.completions.create(model="gpt-4o", messages=question)
    print(answer.choices[0].message.content)
    for chunk in client.chat.completions.create(model="gpt-4o", messages=question, stream=True):
        print(chunk.choices[0].delta.content or "", end="")
    print()


if __name__ == "__main__":
    main(*sys.argv[1:])
