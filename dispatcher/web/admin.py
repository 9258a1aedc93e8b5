"""The admin listener: operations for the command line, health for whoever watches, metrics; for its owner alone.

Nothing that a client does costs more than its own connection: bodies are bounded in size and in time, idle connections
are closed soon, large texts are read apart from the loop.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiohttp import web

from dispatcher.intake.strict import strict_json
from dispatcher.operations.office import Office, OperationError
from dispatcher.operations.registry import perform
from dispatcher.web.health import Health
from dispatcher.web.metrics import CONTENT_TYPE, Metrics

LARGEST: Final = 16 * 1024 * 1024
PATIENCE: Final = 10.0       # seconds for a request's body to arrive
KEPT: Final = 15.0           # seconds that an idle connection is kept
LINGERED: Final = 1.0        # seconds that the rest of a refused body is waited for
_LARGE: Final = 64 * 1024    # bytes from which a body is read apart from the loop
_PEER: Final = struct.Struct("3i")
_STATUS: Final = {"usage": 400, "unknown": 404, "conflict": 409, "failed": 500}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = structlog.get_logger()


def build_admin(office: Office, health: Health, metrics: Metrics) -> web.Application:
    """The admin application of a daemon."""
    app = web.Application(middlewares=[_owner_only, _refusals], client_max_size=LARGEST)

    async def operation(request: web.Request) -> web.StreamResponse:
        args = await _body(request)
        return web.json_response({"result": await perform(office, request.match_info["name"], args)})

    async def alive(_: web.Request) -> web.StreamResponse:
        return web.Response(text="alive\n")

    async def ready(_: web.Request) -> web.StreamResponse:
        why = await health.unready()
        return web.Response(text=f"{why or 'ready'}\n", status=503 if why else 200)

    async def measured(_: web.Request) -> web.StreamResponse:
        return web.Response(body=await metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    app.router.add_post("/v1/{name}", operation)
    app.router.add_get("/healthz", alive)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/metrics", measured)
    return app


def build_runner(app: web.Application, stop_within: float) -> web.AppRunner:
    """What serves the application; at its end requests under way get so many seconds."""
    return web.AppRunner(app, access_log=None, keepalive_timeout=KEPT, lingering_time=LINGERED, handle_signals=False,
                         shutdown_timeout=stop_within)


@web.middleware
async def _owner_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Behind the socket file's mode: the process at the other end must be its owner's, or root's."""
    peer = peer_of(request)
    if peer not in {os.geteuid(), 0}:
        log.warning("stranger_refused", effect="only the daemon's own user and root are answered")
        return _refusal(403, "usage", "only the daemon's own user is answered")
    return await handler(request)


@web.middleware
async def _refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every refusal in one form."""
    try:
        return await handler(request)
    except OperationError as error:
        return _refusal(_STATUS[error.kind], error.kind, error.message, error.details)
    except TimeoutError:
        response = _refusal(408, "usage", f"the request did not arrive within {PATIENCE:.0f} seconds")
        response.force_close()
        return response
    except web.HTTPException as error:
        response = _refusal(error.status, "unknown" if error.status == web.HTTPNotFound.status_code else "usage",
                            error.reason)
        response.headers.update({name: value for name, value in error.headers.items() if name == "Allow"})
        return response
    except Exception as error:
        log.exception("operation_broke", operation=request.match_info.get("name", request.path))
        return _refusal(500, "failed", f"{type(error).__name__}: a fault in the dispatcher; see its log")


def peer_of(request: web.Request) -> int:
    """The user at the other end of a Unix socket; -1 where that cannot be told."""
    found = request.transport.get_extra_info("socket") if request.transport is not None else None
    if found is None or found.family != socket.AF_UNIX:
        return -1
    _, user, _ = _PEER.unpack(found.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return int(user)


async def _body(request: web.Request) -> dict[str, object]:
    """The arguments that a request carries; an empty body has none."""
    async with asyncio.timeout(PATIENCE):
        text = await request.read()
    if not text:
        return {}
    try:
        value = strict_json(text) if len(text) < _LARGE else await asyncio.to_thread(strict_json, text)
    except ValueError as error:
        raise OperationError("usage", f"the body {error}") from None
    if not isinstance(value, dict):
        raise OperationError("usage", "the body is no JSON object with the operation's arguments")
    return value


def _refusal(status: int, kind: str, message: str, details: list[str] | None = None) -> web.Response:
    error = {"kind": kind, "message": message, "details": details or []}
    return web.json_response({"error": error}, status=status)
