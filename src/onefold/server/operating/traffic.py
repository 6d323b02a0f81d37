"""Counts of the requests that collect answered: cheap enough to stand in its way."""

from bisect import bisect_left
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from time import perf_counter
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Traffic:
    """Wraps an ASGI app and counts its answers by status, and its seconds in buckets."""

    def __init__(self, app: App, limited: Mapping[str, int] | None = None) -> None:
        """`limited`: events of each source that were refused because of its rate, as the app counts them."""
        self._app = app
        self.limited: Mapping[str, int] = {} if limited is None else limited
        self.requests: dict[int, int] = {}
        self.buckets = [0] * (len(BUCKETS_S) + 1)
        self.sum_s = 0.0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Hand a request on, and count its answer."""
        status = 0

        def counted(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            return send(message)

        began = perf_counter()
        try:
            await self._app(scope, receive, counted)
        finally:
            took_s = perf_counter() - began
            self.requests[status] = self.requests.get(status, 0) + 1
            self.buckets[bisect_left(BUCKETS_S, took_s)] += 1
            self.sum_s += took_s
