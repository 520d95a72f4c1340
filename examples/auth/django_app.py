"""Socket.IO for who is signed in to Django: a whole project in one file.

    python examples/auth/django_app.py

The browser's `sessionid` cookie, which Django sets at the login, is looked up by Django's own
session and authentication code when the client connects. The part that matters is `by_session`; a
real project has its settings, URLs and models where Django wants them, and calls
`get_asgi_application()` before it imports models.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path
from typing import Any

import django
from django.conf import settings

FOLDER = Path(os.environ.get("DATA") or tempfile.gettempdir())

settings.configure(
    SECRET_KEY=os.environ.get("SECRET_KEY") or secrets.token_urlsafe(64),
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": FOLDER / "nuncio-example.sqlite3",
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
)
django.setup()

from importlib import import_module  # noqa: E402

from django.contrib import auth  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402

import nuncio  # noqa: E402

# Django's part.


async def login(request: HttpRequest) -> JsonResponse:
    """Sign in. A real project keeps Django's protection against CSRF and its own login page."""
    user = await auth.aauthenticate(
        request, username=request.POST.get("name"), password=request.POST.get("password")
    )
    if user is None:
        return JsonResponse({"ok": False}, status=401)
    await auth.alogin(request, user)
    return JsonResponse({"ok": True})


async def logout(request: HttpRequest) -> JsonResponse:
    """Sign out, everywhere."""
    user = await request.auser()
    await auth.alogout(request)
    for socket in list(io.sockets.sockets.values()):
        if socket.user.pk == user.pk:
            socket.disconnect(reason="signed out")
    return JsonResponse({"ok": True})


urlpatterns = [path("login", login), path("logout", logout)]

# Socket.IO's part.

SessionStore = import_module(settings.SESSION_ENGINE).SessionStore


async def by_session(socket: nuncio.Socket, _: dict[str, Any]) -> nuncio.auth.Identity | None:
    """Who is signed in to Django, by the cookie of the request that opened the connection."""
    key = nuncio.auth.cookie(socket, settings.SESSION_COOKIE_NAME)
    if not key:
        return None
    request = HttpRequest()
    request.session = SessionStore(key)
    user = await auth.aget_user(request)
    if not user.is_authenticated or not user.is_active:
        return None
    expires = await request.session.aget_expiry_date()
    return nuncio.auth.Identity(user, expires.timestamp(), key=user.pk)


io = nuncio.Server()
io.use(nuncio.auth.middleware(by_session, room=lambda user: f"user:{user.pk}"))


@io.event
def whoami(socket: nuncio.Socket) -> str:
    """The name of Django's user."""
    return str(socket.user.username)


app = io.asgi(get_asgi_application())

if __name__ == "__main__":
    import uvicorn

    call_command("migrate", verbosity=0)
    if not User.objects.filter(username="ada").exists():
        User.objects.create_user("ada", password="lovelace")
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")))
