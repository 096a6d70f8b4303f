"""What stands between the network and the application."""

import asyncio
import time
from typing import Any, Optional, Sequence

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from structkd_allennlp.serving.metrics import Metrics

_HEADERS = {
    # The page needs nothing from elsewhere, so whatever gets into it cannot load anything either.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Watch:
    """
    Counts and times requests, ends those whose body is too large or does not arrive, and adds
    headers that tell browsers to be careful.

    # Parameters

    app : `ASGIApp`
    metrics : `Metrics`
    paths : `Sequence[str]`
        Those that are counted each for itself: others may be anything.
    body : `int`
        Of a request, in bytes.
    body_seconds : `float`
        How long it may take to arrive.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        paths: Sequence[str],
        body: int,
        body_seconds: float,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._paths = frozenset(paths)
        self._body = body
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in self._paths else "other"
        begun = time.perf_counter()
        deadline = asyncio.get_running_loop().time() + self._body_seconds
        status = 500
        arrived = False
        size = 0

        async def receive_in_time() -> Message:
            nonlocal arrived, size
            if arrived:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(
                    408, f"the request did not arrive within {self._body_seconds:g} seconds"
                ) from None
            size += len(message.get("body", b""))
            if size > self._body:
                raise HTTPException(
                    413, f"the request has more than {self._body:,} bytes. Send several"
                )
            arrived = not message.get("more_body", False)
            return message

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        try:
            await self._app(scope, receive_in_time, send_on)
        finally:
            self._metrics.requests.labels(path, status).inc()
            self._metrics.request_seconds.labels(path).observe(time.perf_counter() - begun)


class WatchedProtocol(H11Protocol):
    """Closes connections that bring no whole request for a while, which uvicorn leaves open."""

    idle_seconds = 15.0

    _timer: Optional[asyncio.TimerHandle] = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._look_again()

    def connection_lost(self, exc: Optional[Exception]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _look_again(self) -> None:
        self._timer = self.loop.call_later(self.idle_seconds, self._look, self.cycle)

    def _look(self, cycle: Any) -> None:
        if self.cycle is cycle and (cycle is None or cycle.response_complete):
            self.transport.close()
        else:
            self._look_again()
