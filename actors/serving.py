"""The HTTP server around a loaded model, in the event loop of its engine."""

import socket
import time
from concurrent.futures import Future
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

from actors.extractor import Extractor
from actors.question import Limits
from actors.server import BodyLimit, Service, routes

BYTES_A_CHARACTER = 6
"""Maximum bytes of one character in a JSON body: an escape."""
SECONDS = 25
"""Time that running requests have once the server is asked to stop; Kubernetes ends it after 30."""


class Serving:
    """One server; ``start`` and ``stop`` are called from another thread than its own."""

    def __init__(self, extractor: Extractor, name: str, limits: Limits, *, api_key: str = "") -> None:
        self._extractor, self._name, self._limits, self._key = extractor, name, limits, api_key
        self._server: uvicorn.Server | None = None
        self._stopped = False

    def start(self, listening: socket.socket) -> "Future[None]":
        """Serve at this socket, and return when requests are answered; what comes back is done when the server has
        ended."""
        ended = self._extractor.loop.submit(self._serve(listening))
        while not (ended.done() or (self._server is not None and self._server.started)):
            time.sleep(0.05)
        if ended.done():
            ended.result()  # why it did not start
        return ended

    async def application(self) -> BodyLimit:
        """vLLM's application with our routes, or ours alone on another engine."""
        from actors.vllm_engine import VllmEngine

        engine = self._extractor.worker.engine
        if isinstance(engine, VllmEngine):
            from actors.vllm_server import openai_app

            app = await openai_app(engine, self._extractor.folder, self._name, api_key=self._key)
        else:
            app = FastAPI(title=self._name)
            app.get("/health")(_healthy)
        app.include_router(routes(Service(self._extractor, self._name, self._limits), api_key=self._key))
        # Around the application, because vLLM's takes no further middleware.
        return BodyLimit(app, most=BYTES_A_CHARACTER * self._limits.characters + 2**16)

    async def _serve(self, listening: socket.socket) -> None:
        config: Any = uvicorn.Config(
            await self.application(), log_level="warning", access_log=False, timeout_graceful_shutdown=SECONDS
        )
        self._server = uvicorn.Server(config)
        self._server.should_exit = self._stopped
        await self._server.serve(sockets=[listening])

    def stop(self) -> None:
        """Take no more requests, finish those that are running, for ``SECONDS`` at most, and end; asked again, end at
        once."""
        if self._server is not None:
            self._server.should_exit, self._server.force_exit = True, self._stopped
        self._stopped = True


async def _healthy() -> PlainTextResponse:
    return PlainTextResponse("")
