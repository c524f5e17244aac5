"""Balance: several keys or endpoints of one provider as one route.

Which one is taken: two are drawn by chance, and the less busy of them goes first ("the power of two choices"): nearly
as even as looking at all of them, and no herd runs to the one that looked best a moment ago. Busy is how many calls are
under way there, times how long its first token took of late. When one fails, or its breaker is open, the next one
follows at once, as in any Fallback; so one key's 401 opens that key's breaker alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..pipeline import Request, Route
from ..pipeline.router import label
from ..pipeline.through import told_by
from .fallback import Fallback
from .resuming import MidStream
from .strategies import Fastest, Strategy

__all__ = ["Balance", "LeastBusy"]


class LeastBusy(Fastest):
    """The less busy of two that chance has drawn, then the others, the least busy first.

    Args:
        weight, fade: of the moving average of the time to the first token; as for Fastest.
    """

    manner = "least busy of two"

    def __init__(self, weight: float = 0.3, fade: float = 60.0) -> None:
        super().__init__(weight, fade)
        # A dict, for its changes are atomic: a reply may end in a garbage collection, which must not wait for a lock.
        self._under_way: dict[str, dict[object, None]] = {}

    def order(self, routes: Sequence[Route], request: Request) -> Sequence[Route]:
        clock = request.call.clock

        def busy(route: Route) -> float:
            return (len(self._under_way.get(route.name, ())) + 1) * max(self.seconds(route, request), 0.001)

        if len(routes) < 2:
            return routes
        first = min(int(clock.uniform(0.0, len(routes))), len(routes) - 1)
        second = min(int(clock.uniform(0.0, len(routes) - 1)), len(routes) - 2)
        second += second >= first
        pair = sorted((routes[first], routes[second]), key=busy)
        return (*pair, *sorted((route for route in routes if route not in pair), key=busy))

    def began(self, route: Route) -> Callable[[], object]:
        token = object()
        under_way = self._under_way.setdefault(route.name, {})
        under_way[token] = None
        return lambda: under_way.pop(token, None)


class Balance(Fallback):
    """Spreads calls over keys or endpoints that stand for one provider.

        Fallback(Balance(OpenAI("sk-1"), OpenAI("sk-2")), Claude("sk-3"))

    Args:
        routes: handlers or Routes. A handler that has no name of its own here is called by the provider and the
            fingerprint of its key, such as "openai-5f2a81"; keys are never shown.
        strategy: LeastBusy() unless given.
        mid_stream: as for Fallback.

    Raises:
        ValueError: if there is no route, or two have the same name, which two adapters with one key would.
    """

    kind = "balance"

    def __init__(self, *routes: Any, strategy: Strategy | None = None, mid_stream: MidStream = "raise") -> None:
        named = [route if isinstance(route, Route) else Route(_named(route, routes), route) for route in routes]
        super().__init__(*named, strategy=strategy or LeastBusy(), mid_stream=mid_stream)
        providers = {label(route.handler) for route in self.routes}
        self.provider = providers.pop() if len(providers) == 1 else "balance"


def _named(handler: Any, all_of_them: Sequence[Any]) -> str:
    name = label(handler)
    if key := told_by(handler, "fingerprint", ""):
        return f"{name}-{key}"
    alike = [other for other in all_of_them if not isinstance(other, Route) and label(other) == name]
    return name if len(alike) == 1 else f"{name}-{next(n for n, other in enumerate(alike, 1) if other is handler)}"
