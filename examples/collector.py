"""Traces and metrics of every call, handed over to a collector: OpenTelemetry's own, Jaeger, Phoenix, a vendor's.

    pip install 'mainstay[otlp]'
    python examples/collector.py http://127.0.0.1:4318 https://api.openai.com/v1

A collector that is down costs no call, and at most a second at the end.
"""

import sys

from mainstay.providers import create_provider, export


def main(collector: str, openai_url: str) -> None:
    with export(collector, service="shop"), create_provider("openai", {"base_url": openai_url}) as provider:
        print(provider.execute("gpt-4o", "Why is the sky blue?").text)


if __name__ == "__main__":
    main(*sys.argv[1:])
