"""What the styles look like. The sixteen colours of the terminal, so they suit its background."""

from __future__ import annotations

from typing import Final

# What Tab offers, on the terminal's own background.
_MENU: Final = {
    "completion-menu": "bg:default fg:default",
    "completion-menu.completion.current": "bg:default fg:default reverse",
    "completion-menu.meta.completion": "bg:default fg:default",
    "completion-menu.meta.completion.current": "bg:default fg:default",
    "scrollbar.background": "bg:default",
    "scrollbar.button": "bg:default",
}

STYLES: Final = {
    "time": "ansibrightblack",
    "dim": "ansibrightblack",
    "hint": "ansiyellow",
    "more": "italic ansibrightblack",
    "good": "ansigreen",
    "bad": "ansired",
    "came": "ansicyan",
    "sent": "ansimagenta",
    "answer": "ansigreen",
    "asks": "bold ansiyellow",
    "name": "bold",
    "space": "ansibrightblack",
    "mark": "",
    "key": "ansiblue",
    "string": "ansigreen",
    "number": "ansicyan",
    "atom": "ansimagenta",
    "binary": "ansiyellow",
    "bottom-toolbar": "noreverse ansibrightblack",
    "auto-suggestion": "ansibrightblack",
    **_MENU,
}

# Without colours: none of prompt_toolkit's own, either.
BARE: Final = {"bottom-toolbar": "noreverse", **_MENU}
