"""What `stack.explain` gives: plain data for programs, and a text for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .errors import Problem
from .rehearsal import Step

__all__ = ["ErrorExplained", "RequestExplained", "RouteExplained"]


@dataclass(frozen=True, slots=True)
class RouteExplained:
    """One route, as a request would find it now.

    Attributes:
        route: its path.
        model: what it would be asked for.
        state: of its breaker: "closed", "open", "half-open", "isolated" or "resting"; "" without one.
        admits_in: seconds until it admits again; None if it does now, or if nobody knows.
        lacks: what the request needs and it cannot do, so that it is passed by.
        tries: how often it may be tried while other routes are left.
        tries_last: how often it may be tried as the last, or only, route.
        seconds: how long one try may take until its first event, or as a complete reply; None if nothing ends it.
    """

    route: str
    model: str
    state: str
    admits_in: float | None
    lacks: tuple[str, ...]
    tries: int
    tries_last: int
    seconds: float | None

    def __str__(self) -> str:
        if self.lacks:
            return f"passed by: lacks {', '.join(self.lacks)}"
        state = self.state + (f", admits in {self.admits_in:.3g} s" if self.admits_in else "")
        last = f", {self.tries_last} as the last" if self.tries_last != self.tries else ""
        tries = f"{self.tries} {'tries' if self.tries > 1 else 'try'}{last}"
        each = f"up to {self.seconds:g} s each" if self.seconds is not None else "no timeouts"
        return "; ".join(filter(None, (state, tries, each)))


@dataclass(frozen=True, slots=True)
class RequestExplained:
    """What would happen to a request now. `str()` gives it as a text.

    Attributes:
        model: what is asked for.
        problems: what a check finds wrong with it.
        routes: in the order in which they would be tried, then those that would be passed by.
        requests: the most that may leave, whatever happens.
        seconds: the longest that it may take until the first event of a stream, or the complete reply; None if nothing
            ends it.
        requests_because, seconds_because: where the two numbers come from.
    """

    model: str
    problems: tuple[Problem, ...]
    routes: tuple[RouteExplained, ...]
    requests: int
    seconds: float | None
    requests_because: str
    seconds_because: str

    def __str__(self) -> str:
        lines = [f"problem: {problem}" for problem in self.problems]
        names = max((len(route.route) for route in self.routes), default=0)
        models = max((len(route.model) for route in self.routes), default=0)
        for number, route in enumerate(self.routes, 1):
            lines.append(f"{number}. {route.route:<{names}}  {route.model:<{models}}  {route}")
        plural = "s" * (self.requests != 1)
        lines.append(f"at most {self.requests} request{plural}: {self.requests_because}")
        seconds = "no limit in time" if self.seconds is None else f"at most {self.seconds:.4g} s"
        lines.append(f"{seconds}: {self.seconds_because}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class ErrorExplained:
    """What would become of an error if every route that is tried failed with it. `str()` gives it as a text.

    Attributes:
        error: the error, in words.
        route: the path of the route that is tried first.
        steps: what each layer around it does, inside out.
        tries: how often each route would be tried, by its path.
        waited: seconds that would be waited in all, at most.
        raised: the name of the class that the caller would see; "" if a layer answered in its place.
    """

    error: str
    route: str
    steps: tuple[Step, ...]
    tries: Mapping[str, int]
    waited: float
    raised: str

    def __str__(self) -> str:
        wide = max((len(step.layer) for step in self.steps), default=0)
        lines = [self.error]
        lines += [f"  {step.layer:<{wide}}  {step.says}" for step in self.steps]
        count = sum(self.tries.values())
        cost = f"after {count} request{'s' * (count != 1)}"
        cost += f" and up to {self.waited:.3g} s of waiting" if self.waited else ""
        alike = "if every route fails alike: " if len(self.tries) > 1 else ""
        end = f"the caller sees {self.raised}" if self.raised else "the caller sees an answer"
        return "\n".join([*lines, f"{alike}{end}, {cost}"])
