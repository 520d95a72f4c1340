"""What the application says of a request before the engine looks at it: all that may wait.

Origins decided by a function, HTTP middlewares, `allow_request` and `generate_id`. A gate that
fails stays shut.
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Container
from typing import Any

from nuncio.engine.cors import CorsPolicy
from nuncio.engine.options import EngineOptions
from nuncio.engine.refusal import FORBIDDEN, MESSAGES, Refusals
from nuncio.engine.request import Exchange, Request
from nuncio.errors import ConnectError, OptionError
from nuncio.ids import new_id

logger = logging.getLogger("nuncio.engine")

_ID = re.compile(r"[!-~]+")

Middleware = Callable[[Request, Exchange], Any]


class Gates:
    """The application's own checks.

    Args:
        options: the engine's.
        cors: the policy for origins.
        refusals: answers who is not let in.

    Attributes:
        may_wait: whether any of them may have to wait.
    """

    def __init__(self, options: EngineOptions, cors: CorsPolicy, refusals: Refusals) -> None:
        self._options = options
        self._cors = cors
        self._refusals = refusals
        self._middlewares: list[Middleware] = []
        # Asked for every request.
        self.may_wait = (
            options.allow_request is not None or options.generate_id is not None or cors.may_wait
        )

    def use(self, middleware: Middleware) -> None:
        """See `Engine.use`."""
        if not callable(middleware):
            raise TypeError(f"middleware must be callable, not {middleware!r}")
        try:
            inspect.signature(middleware).bind(None, None)
        except TypeError as error:
            raise OptionError(
                "HTTP middleware is called with the request and the response, which "
                f"{middleware!r} does not fit ({error}); there is no `next`: return to go on, "
                "answer with response.end(status) or raise nuncio.ConnectError to refuse"
            ) from error
        except ValueError:
            # Built-in functions may hide their signature.
            pass
        self._middlewares.append(middleware)
        self.may_wait = True

    async def admits(self, request: Request, script: bool) -> bool:
        """Whether requests of this origin are let in, see `CorsPolicy.admits`."""
        try:
            verdict = self._cors.admits(request, script)
            return verdict if isinstance(verdict, bool) else bool(await verdict)
        except Exception:
            logger.exception("the function given as cors failed")
            return False

    async def run_middlewares(self, exchange: Exchange, upgrade: bool) -> bool:
        """Whether to go on; otherwise the request is answered."""
        for middleware in list(self._middlewares):
            try:
                result = middleware(exchange.request, exchange)
                if hasattr(result, "__await__"):
                    await result
            except Exception as error:
                if isinstance(error, ConnectError):
                    logger.debug("an HTTP middleware refused a request: %r", error)
                else:
                    logger.exception("an HTTP middleware failed, so its request is refused")
                self._refusals.bad_request(exchange, upgrade, "MIDDLEWARE_FAILURE", error=error)
                return False
            if exchange.done:
                return False
        return True

    async def objection(self, request: Request) -> str | None:
        """What `allow_request` has against a request; None when nothing."""
        allow = self._options.allow_request
        if allow is None:
            return None
        try:
            verdict = allow(request)
            if hasattr(verdict, "__await__"):
                verdict = await verdict
        except Exception:
            logger.exception("allow_request failed")
            verdict = False
        if verdict is True:
            return None
        return verdict if isinstance(verdict, str) else MESSAGES[FORBIDDEN]

    async def make_id(self, request: Request, taken: Container[str], worker: Any = None) -> str:
        """A new session's id, the application's own where it makes them.

        Args:
            request: that opens the session.
            taken: those there are.
            worker: whose mark it gets, where several workers serve together.

        Raises:
            OptionError: when what the application made cannot be used.
            Exception: what its function raises.
        """
        generate = self._options.generate_id
        if generate is None:
            return new_id() if worker is None else str(worker.own_id())
        try:
            id = generate(request)
            if hasattr(id, "__await__"):
                id = await id
            if worker is not None and isinstance(id, str):
                id = worker.own_id(id)
            if not isinstance(id, str) or not _ID.fullmatch(id) or id in taken:
                raise OptionError("generate_id must return a new, non-empty str of printable ASCII")
        except Exception:
            logger.exception("generate_id failed, so its request is refused")
            raise
        return id
