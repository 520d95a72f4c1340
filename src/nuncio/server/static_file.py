"""One file that is served over HTTP: read once, compressed once, known to caches by a tag."""

from __future__ import annotations

import gzip
import hashlib
import re
from pathlib import Path
from typing import Final

from nuncio.engine.compression import negotiate
from nuncio.engine.request import Exchange

# Official bundles begin with a comment that names their version.
_VERSION: Final = re.compile(rb"\bv(\d{1,4}\.\d{1,4}\.\d{1,4}(?:-[0-9A-Za-z.]{1,20})?)\b")
_BANNER: Final = 200

# Files beside that hold the same, compressed ahead of time; the smallest first.
_BESIDE: Final = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}


class StaticFile:
    """A file: its bytes in every coding there is, and what caches know it by.

    Args:
        path: where it is.
        kind: its media type.

    Attributes:
        tag: its version, where it tells one, and a hash of what is in it; empty until it is read.
    """

    __slots__ = ("_bodies", "_kind", "_path", "tag")

    def __init__(self, path: Path, kind: str) -> None:
        self.tag = ""
        self._path = path
        self._kind = kind
        self._bodies: dict[str, bytes] = {}

    def load(self) -> None:
        """Read it unless that is done.

        Raises:
            OSError: when it is gone.
        """
        if self.tag:
            return
        plain = self._path.read_bytes()
        for coding, suffix in _BESIDE.items():
            beside = self._path.with_name(self._path.name + suffix)
            if beside.is_file():
                self._bodies[coding] = beside.read_bytes()
        self._bodies[""] = plain
        version = _VERSION.search(plain, 0, _BANNER)
        words = [version[1].decode()] if version is not None else []
        self.tag = "-".join([*words, hashlib.sha256(plain).hexdigest()[:16]])

    def answer(
        self, exchange: Exchange, cache_control: str, more: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """Send it, or 304 to who has it. It must have been read.

        Args:
            exchange: the request.
            cache_control: how long it may be kept.
            more: headers beside the usual ones.
        """
        request = exchange.request
        available = [coding for coding in _BESIDE if coding in self._bodies or coding == "gzip"]
        coding = negotiate(request.header(b"accept-encoding") or "", available) or ""
        known = self._known(request.header(b"if-none-match"), self._entity_tag(coding))
        headers = [
            ("Content-Type", self._kind),
            ("Cache-Control", cache_control),
            ("ETag", known or self._entity_tag(coding)),
            ("Vary", "Accept-Encoding"),
            *more,
        ]
        if known:
            exchange.respond(304, headers[1:], b"")
            return
        if coding:
            headers.append(("Content-Encoding", coding))
        exchange.respond(200, headers, self._body(coding))

    def _entity_tag(self, coding: str) -> str:
        """Strong, so it differs with the coding (RFC 9110, section 8.8.3.3)."""
        return f'"{self.tag}-{coding}"' if coding else f'"{self.tag}"'

    def _known(self, if_none_match: str | None, selected: str) -> str:
        """Which of its entity tags the client has; empty for none (RFC 9110, section 13.1.2)."""
        if if_none_match is None:
            return ""
        if if_none_match.strip() == "*":
            return selected
        own = {self._entity_tag(coding) for coding in ("", *_BESIDE)}
        for listed in if_none_match.split(","):
            tag = listed.strip().removeprefix("W/")
            if tag in own:
                return tag
        return ""

    def _body(self, coding: str) -> bytes:
        body = self._bodies.get(coding)
        if body is None:
            # The time is left out, so that every process sends the same bytes under the tag.
            body = gzip.compress(self._bodies[""], mtime=0)
            self._bodies[coding] = body
        return body
