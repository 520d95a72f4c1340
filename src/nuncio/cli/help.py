"""What `help` says."""

from __future__ import annotations

from typing import Final

from nuncio.cli.commands import COMMANDS, NAMESPACE_SUMMARY, NAMESPACE_USAGE
from nuncio.cli.problems import WrongUse
from nuncio.cli.text import Line
from nuncio.options import did_you_mean

_COLUMN: Final = 32


def overview() -> list[Line]:
    """All commands, one a line."""
    rows = [(_short(entry.usage), entry.summary) for entry in COMMANDS.values()]
    rows.insert(3, (NAMESPACE_USAGE, NAMESPACE_SUMMARY))
    lines: list[Line] = [_row(usage, summary) for usage, summary in rows]
    lines.append([])
    lines.append(
        [("dim", "An event needs no command: "), ("name", "message lobby {text: hello} ?")]
    )
    lines.append([("dim", "The ? asks for an acknowledgement. More: "), ("name", "help emit")])
    return lines


def _short(usage: str) -> str:
    usage, options, _ = usage.partition(" [--")
    return f"{usage} [OPTION…]" if options else usage


def _row(usage: str, summary: str) -> Line:
    first, _, rest = usage.partition(" ")
    space = " " * max(2, _COLUMN - len(usage) - 2)
    return [("", "  "), ("name", first), ("dim", f" {rest}" if rest else ""), ("", space + summary)]


def topic(name: str) -> list[Line]:
    """One command.

    Raises:
        WrongUse: when there is none of that name.
    """
    entry = COMMANDS.get(name)
    if entry is None:
        hint = did_you_mean(name, COMMANDS) or "help alone lists them all"
        raise WrongUse(f"there is no command {name}", [hint])
    lines: list[Line] = [[("name", entry.usage)], [("", entry.summary)]]
    lines.extend([("dim", line)] for line in entry.more)
    return lines
