"""What captured cases say: whose messages they are, what these mean, and what came of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

# The types of those that only say who is there.
HEARTBEAT = 2
BEATS = (1, HEARTBEAT, 13)


def meant(one: dict[str, Any]) -> Any:
    """What a recorded message means, wherever it is."""
    attachment = one.get("attachment")
    return one["decoded"] if attachment is None else attachment["decoded"]


def speaker(one: dict[str, Any]) -> str:
    """Whose message it is, where it says that."""
    if "fields" in one:
        return str(one["fields"]["uid"])
    decoded = meant(one)
    return str(decoded[0] if isinstance(decoded, list) else decoded.get("uid", ""))


def nsp_of(one: dict[str, Any]) -> str:
    """In which namespace something was said."""
    decoded = meant(one)
    told = one.get("fields", decoded)
    if isinstance(told, dict) and "nsp" in told:
        return str(told["nsp"])
    return str(one["channel"].split("#")[1])


def request_of(one: dict[str, Any]) -> str:
    """The request that a message is or answers."""
    decoded = meant(one)
    if not isinstance(decoded, dict):
        return ""
    data = decoded.get("data")
    inner = data if isinstance(data, dict) else {}
    return str(decoded.get("requestId") or inner.get("requestId") or "")


def is_heartbeat(one: dict[str, Any]) -> bool:
    """Whether it is one, which all families but the classic one number alike."""
    decoded = one["decoded"]
    return "nsp" in decoded and decoded["type"] in BEATS


def answers_of(case: dict[str, Any]) -> list[dict[str, Any]]:
    """What the second server's handlers answered the first."""
    said = [meant(one) for one in case["published_by_B"]]
    return [one for one in said if isinstance(one, dict) and one.get("type") in (6, 10)]


def settled(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Cases of which each has its own answers: some were recorded late, with the next one."""
    asked = {request_of(one): case for case in cases for one in case["published_by_A_or_emitter"]}
    for case in cases:
        for one in list(case["published_by_B"]):
            whose = asked.get(request_of(one), case) if request_of(one) else case
            if whose is not case:
                case["published_by_B"].remove(one)
                whose["published_by_B"].append(one)
    return cases


def people(cases: list[dict[str, Any]]) -> dict[str, Any]:
    """What the second server told of its clients, by the clients' names."""
    found = {}
    for one in [one for case in cases for one in case["published_by_B"]]:
        decoded = meant(one)
        told = decoded.get("data", decoded)
        for item in told.get("sockets", ()) if isinstance(told, dict) else ():
            where = "chat" if "cr" in item["rooms"] else ""
            found[where + item["handshake"]["auth"]["name"]] = item
    return found


def native(value: Any) -> Any:
    """What stands for binary, dates and numbers, as such."""
    if isinstance(value, dict):
        if "$binary" in value:
            return bytes.fromhex(value["$binary"])
        if "$date" in value:
            return datetime.fromisoformat(value["$date"])
        if "$number" in value:
            return float(value["$number"])
        return {key: native(one) for key, one in value.items()}
    return [native(one) for one in value] if isinstance(value, list) else value


def buffers(value: Any) -> Any:
    """What stands for binary in JSON, as such."""
    if isinstance(value, dict):
        if value.get("type") == "Buffer":
            return bytes(value["data"])
        return {key: buffers(one) for key, one in value.items()}
    return [buffers(one) for one in value] if isinstance(value, list) else value


def acknowledged(case: dict[str, Any]) -> list[Any]:
    """What the second server's clients acknowledged, one after the other."""
    found = []
    for one in case["published_by_B"]:
        decoded = meant(one)
        if decoded.get("type") == 9 and "packet" in decoded:
            found.append(native(decoded["packet"]))
        elif decoded.get("type") == 12:
            found.append(native(decoded["data"]["packet"]))
    return found


def received(case: dict[str, Any], name: str) -> list[list[Any]]:
    """What the second server or one of its clients received."""
    mine = [one for one in case["expected_on_B"] if one["client"] == name]
    return [[one["event"], *native(one["args"])] for one in mine]
