"""Finds the application that a command line names: `module:object`."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from nuncio.engine.engine import Engine
from nuncio.errors import OptionError
from nuncio.hosts.asgi import ASGIApp
from nuncio.hosts.serve import importing


class Application:
    """What is served.

    Args:
        engine: which takes its clients.
        app: the ASGI application around it, or None.
    """

    def __init__(self, engine: Engine, app: Any) -> None:
        self.engine = engine
        self.app = app


def load(target: str) -> Application:
    """Import an application.

    Args:
        target: `module:object`, where the object is a `nuncio.Server`, an `Engine`, what
            `io.asgi(…)` returned, or a function without arguments that makes one of these. The
            object may be left out where it is called `io` or `app`.

    Raises:
        OptionError: when there is no such thing; what the module raises is not caught.
    """
    module_name, _, name = target.partition(":")
    if not module_name or module_name.endswith(".py"):
        raise OptionError(f"{target!r}: name the module, as in `nuncio serve app:io` for app.py")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        with importing(module_name):
            module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and module_name.split(".")[0] == error.name.split(".")[0]:
            raise OptionError(
                f"{target!r}: there is no module {error.name!r} here or among what is installed"
            ) from error
        raise
    for attribute in [name] if name else ["io", "app"]:
        found: Any = module
        for part in attribute.split("."):
            found = getattr(found, part, None)
        if found is not None:
            return _application(found, f"{module_name}:{attribute}")
    what = f"has no {name!r}" if name else "has neither `io` nor `app`"
    raise OptionError(f"{target!r}: the module {module_name} {what}; write module:object")


def load_worker(target: str) -> Application:
    """Import an application that is one of several workers.

    Args:
        target: see `load`.

    Raises:
        OptionError: when there is none, or it will have no part in this.
    """
    application = load(target)
    if application.engine.worker is None:
        raise OptionError("the server was made with workers=False, so it cannot be one of them")
    return application


def _application(found: Any, target: str) -> Application:
    if (
        callable(found)
        and not isinstance(found, (ASGIApp, Engine))
        and not hasattr(found, "engine")
    ):
        found = found()
    engine = getattr(found, "engine", None)
    if isinstance(found, Engine):
        return Application(found, None)
    if isinstance(found, ASGIApp):
        return Application(found.engine, found)
    if isinstance(engine, Engine):
        return Application(engine, None)
    raise OptionError(
        f"{target} is {type(found).__name__}: give a nuncio.Server, or what io.asgi(…) returned"
    )
