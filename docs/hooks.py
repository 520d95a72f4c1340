"""Links in the reference: a name of the package in a docstring leads to where it is described."""

from __future__ import annotations

import re
from typing import Any

# Preformatted text and links stay as they are. A name in code is a class, with a member perhaps.
_FOUND = re.compile(
    r"(?P<kept><pre\b.*?</pre>|<a\b.*?</a>|<autoref\b.*?</autoref>)"
    r"|<code>(?:nuncio\.)?(?P<name>(?:(?:auth|cluster)\.)?[A-Z]\w*[a-z]\w*(?:\.\w+)?)</code>",
    re.DOTALL,
)


def on_page_content(html: str, page: Any, **options: Any) -> str:
    """Mark names for the plugin that knows where each is; it leaves alone what it does not know."""
    if not page.file.src_uri.startswith("reference/"):
        return html
    return _FOUND.sub(_linked, html)


def _linked(match: re.Match[str]) -> str:
    if match["kept"] is not None:
        return match["kept"]
    name = f"nuncio.{match['name']}"
    return f'<autoref optional identifier="{name}">{match[0]}</autoref>'
