"""Around: a running half in pieces, for a layer that looks at a call before and after it and seldom does more.

Most layers send on what they were given, once, and then see what came of it; only a failure makes some of them do
more. Such a layer says so in three pieces:

    before(request)        at the beginning    -> what it keeps of this call
    after(kept, reply)     when a reply came
    failed(kept, error)    when an error came  -> None, or the steps of what it does about it

`handle` is made of them here, so that whoever drives by hand sees a layer like any other. The two drivers call the
pieces themselves, and need no generator for a call that goes well, which would take longer than most layers do.
"""

from __future__ import annotations

from types import GeneratorType
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from .layer import Steps
    from .reply import Reply
    from .request import Request

__all__ = ["Around", "pieces"]


class Around:
    """A running half in pieces. Each piece may be left out."""

    def before(self, request: Request) -> Any:
        """What the layer does first; what it raises goes outward, and it hears no more of the call.

        Returns:
            None to step aside: it hears no more of this call. A generator to take over: it is driven in place of all
            that follows, as `handle` is. Anything else is kept, and given to `after` or to `failed`.
        """
        return self

    def after(self, kept: Any, reply: Reply) -> None:
        """Hears of the reply. What it raises goes to `failed`, as any error does."""

    def failed(self, kept: Any, error: BaseException) -> Steps | None:
        """Hears of the error, to release what it holds.

        Returns:
            None to let it go outward. Or a generator, which is driven as `handle` is: with its reply, or with what it
            raises, the call goes on outward.
        """
        return None

    def handle(self, request: Request) -> Steps:
        """The pieces as one generator."""
        kept = self.before(request)
        if kept is None:
            return (yield request)  # type: ignore[no-any-return]
        if type(kept) is GeneratorType:
            return (yield from kept)  # type: ignore[no-any-return]
        try:
            reply: Reply = yield request
            self.after(kept, reply)
            return reply
        except BaseException as error:
            steps = self.failed(kept, error)
            if steps is None:
                raise
        return (yield from steps)  # outside the block, which would keep the error as long


Pieces: TypeAlias = "tuple[Callable[..., Any] | None, Callable[..., None] | None, Callable[..., Steps | None] | None]"


def pieces(running: Any) -> Pieces:
    """What a driver calls in place of `handle`: before, after and failed, None for what was left out.

    Without the first, the running half is not made of pieces, or has a `handle` of its own.
    """
    kind = type(running)
    if not isinstance(running, Around) or kind.handle is not Around.handle:
        return None, None, None
    after = None if kind.after is Around.after else running.after
    failed = None if kind.failed is Around.failed else running.failed
    return running.before, after, failed
