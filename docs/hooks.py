"""The reference: a name of the package in a docstring leads to where it is described."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

# Preformatted text and links stay as they are. A name in code is a class, with a member perhaps.
_FOUND = re.compile(
    r"(?P<kept><pre\b.*?</pre>|<a\b.*?</a>|<autoref\b.*?</autoref>)"
    r"|<code>(?:nuncio\.)?(?:admin\.|auth\.|cluster\.|engine\.|sync\.|testing\.)?"
    r"(?P<name>[A-Z]\w+)(?P<member>\.\w+)?</code>",
    re.DOTALL,
)
# A mark for the build, at the end of the first line of a module's docstring.
_MARK = " [compiled]"


def on_page_content(html: str, page: Any, config: Any, **options: Any) -> str:
    """Mark names for the plugin that knows where each is; it leaves alone what it does not know."""
    if not page.file.src_uri.startswith("reference/"):
        return html
    described = _described(Path(config.docs_dir) / "reference", Path(page.file.src_uri).name)

    def linked(match: re.Match[str]) -> str:
        full = described.get(match["name"] or "")
        if full is None:
            return match[0]
        identifier = full + (match["member"] or "")
        return f'<autoref optional identifier="{identifier}">{match[0]}</autoref>'

    return _FOUND.sub(linked, html.replace(_MARK, ""))


def _described(folder: Path, own: str) -> dict[str, str]:
    """The classes that the pages describe: from their short names to the full ones.

    Where two have the same, it is that of the page itself, and otherwise the one nearest to the
    package.
    """
    found: dict[str, list[str]] = {}
    for page in folder.glob("*.md"):
        found[page.name] = re.findall(r"^::: ([\w.]+)$", page.read_text(), re.MULTILINE)
    here = set(found[own])
    # The last one of a name counts.
    names = [name for page in found.values() for name in page]
    names.sort(key=lambda name: (name in here, -len(name)))
    return {name.rpartition(".")[2]: name for name in names}
