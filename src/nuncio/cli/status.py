"""What `status` says."""

from __future__ import annotations

from nuncio.cli import text
from nuncio.cli.journal import Journal
from nuncio.cli.link import Facts
from nuncio.cli.screens import Screen
from nuncio.cli.text import Fragment, Line


def status(facts: Facts, journal: Journal, screen: Screen) -> list[Line]:
    """How the connection is, and what has happened, in lines."""
    lines = [_line("connection", _state(facts))]
    for namespace, id in facts.ids.items():
        joined: list[Fragment] = (
            [("bad", "not connected")]
            if id is None
            else [("good", "connected"), ("dim", f", id {text.safe(id)}")]
        )
        lines.append(_line(text.safe(namespace), joined))
    if facts.latency is not None:
        took = [("", text.seconds(facts.latency)), ("dim", f", {facts.measured}")]
        lines.append(_line("latency", took))
    if facts.heartbeat is not None:
        lines.append(_line("heartbeat", [("", f"{text.seconds(facts.heartbeat)} ago")]))
    lines.append(_line("events", _counts(journal, screen)))
    if screen.patterns:
        lines.append(_line("filter", [("", text.safe(" ".join(screen.patterns)))]))
    if journal.path is not None:
        lines.append(_line("saving to", [("", text.safe(str(journal.path)))]))
    return lines


def _line(head: str, rest: list[Fragment]) -> Line:
    return [("dim", f"  {head:<12}"), *rest]


def _state(facts: Facts) -> list[Fragment]:
    if facts.state == "open":
        return [("good", "open"), ("dim", f", over {facts.transport}")]
    if facts.state == "opening" or facts.reconnecting:
        return [("hint", "connecting")]
    return [("bad", "closed"), ("dim", ", connect opens it again")]


def _counts(journal: Journal, screen: Screen) -> list[Fragment]:
    counts = journal.counts
    came = f"{counts['event']:,} came, {counts['sent']:,} sent, {counts['answer']:,} answered"
    lost = f", {counts['no_answer']:,} not answered" if counts["no_answer"] else ""
    hidden = f", {screen.hidden:,} hidden by the filter" if screen.hidden else ""
    return [("", came + lost), ("dim", hidden)]
