"""FittedRoute: a route of another protocol behind a protected client."""

from __future__ import annotations

from dataclasses import dataclass

from ...pipeline import Problem, Request, Route

__all__ = ["FittedRoute"]

# What an answer would be another one without.
_ESSENTIAL = frozenset({"messages", "model", "tools", "tool_choice", "response_format"})


@dataclass(frozen=True)
class FittedRoute(Route):
    """Takes what was asked of another client: parameters that its handler does not know are left out.

    An application that only ever called one provider has set that provider's parameters. When that one is down, an
    answer without `seed` is better than none. What is left out is told in the reply's `changes`, as with any route;
    tools and formats never are: without them it would be another answer.
    """

    def adapt(self, request: Request) -> Request:
        """The request as this route sends it."""
        request = super().adapt(request)
        check = getattr(self.handler, "check", None)
        refused = () if check is None else check(request)
        wrong = {problem.parameter for problem in refused} & (request.params.keys() - _ESSENTIAL)
        if not wrong:
            return request
        return request.replace(
            params={name: value for name, value in request.params.items() if name not in wrong},
            changes={**request.changes, **dict.fromkeys(wrong, f"left out by route {self.name!r}, which refuses it")},
        )

    def check(self, request: Request) -> tuple[Problem, ...]:
        """Nothing: that the second choice would refuse a request is no reason to refuse it to the first."""
        return ()
