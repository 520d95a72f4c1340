"""The chat example in Chromium: people at pages of their own, a real server between them."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.chat import Chat, Person

pytestmark = pytest.mark.browser

Visit = Callable[..., Person]
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}


def png(width: int, height: int) -> bytes:
    """A picture: a green hill under an evening sky."""
    rows = b"".join(
        b"\0"
        + b"".join(
            bytes((42, 92, 80) if y > height * 0.6 + (x - width / 2) ** 2 / 900 else (248, 190, y))
            for x in range(width)
        )
        for y in range(height)
    )

    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


PICTURE = png(320, 200)


def sees_picture(person: Person, selector: str = ".picture img") -> None:
    """The picture was decoded by the browser, from memory."""
    person.sees(selector)
    shown = person.script(
        """async (selector) => {
            const image = document.querySelector(selector);
            await image.decode();
            return [image.naturalWidth, image.naturalHeight, new URL(image.src).protocol];
        }""",
        selector,
    )
    assert shown == [320, 200, "blob:"]


def test_two_people_talk(visit: Visit, screenshots: Path) -> None:
    ada = visit()
    ada.joins("Ada")
    grace = visit(color_scheme="dark")
    grace.joins("Grace")
    ada.sees("#people .name", "Grace")
    ada.sees(".note", "Grace joined")
    ada.says("Good morning!")
    ada.sees_delivered("Good morning!")
    grace.sees_message("Ada", "Good morning!")
    grace.says("Good morning, Ada.\nHow is the engine?")
    grace.sees_delivered("How is the engine?")
    ada.sees_message("Grace", "How is the engine?")
    ada.sees("#link", "live over WebSocket")
    ada.screenshot(screenshots / "desktop-light.png")
    grace.screenshot(screenshots / "desktop-dark.png")
    grace.close()
    ada.sees(".note", "Grace left")
    ada.sees_no("#people .name", "Grace")


def test_a_typing_notice_comes_and_goes(visit: Visit) -> None:
    ada, grace = visit(), visit()
    ada.joins("Ada")
    grace.joins("Grace")
    # Notices are volatile: they are dropped while a page moves to its WebSocket.
    ada.sees("#link", "live over WebSocket")
    grace.sees("#link", "live over WebSocket")
    ada.keeps_watching("#typing")
    grace.clicks("#text")
    grace.types("I am thin")
    ada.saw("#typing", "Grace is typing")
    grace.types("king")
    grace.presses("Enter")
    ada.sees_message("Grace", "I am thinking")
    assert ada.texts("#typing-text") == [""]
    ada.keeps_watching("#typing")
    grace.types("Once more")
    ada.saw("#typing", "Grace is typing")
    grace.clicks("#scroller")
    ada.sees_no("#typing", "Grace is typing")
    assert grace.texts("#typing-text") == [""]


def test_a_picture_travels_as_binary(visit: Visit, screenshots: Path) -> None:
    ada, grace = visit(), visit()
    ada.joins("Ada")
    grace.joins("Grace")
    grace.sees("#link", "live over WebSocket")
    ada.sends_file("hill.png", "image/png", PICTURE)
    ada.sees('.message.own[data-state="delivered"] .picture')
    sees_picture(grace)
    grace.received_binary(PICTURE)
    grace.screenshot(screenshots / "picture.png")
    grace.clicks(".picture")
    sees_picture(grace, "#viewer-image")
    grace.presses("Escape")
    grace.sees_no("#viewer-image")


def test_only_pictures_are_sent(visit: Visit) -> None:
    ada = visit()
    ada.joins("Ada")
    ada.keeps_watching("#notice")
    ada.sends_file("drawing.svg", "image/png", b"<svg onload='alert(1)'></svg>")
    ada.saw("#notice", "Only PNG, JPEG, GIF and WebP images")
    ada.sends_file("large.gif", "image/gif", b"GIF89a" + bytes(3_000_000))
    ada.saw("#notice", "too large")
    assert ada.texts(".message") == []


def test_a_large_photograph_is_made_smaller(visit: Visit) -> None:
    ada, grace = visit(), visit()
    ada.joins("Ada")
    grace.joins("Grace")
    noise = ada.script(
        """async () => {
            const canvas = document.createElement("canvas");
            canvas.width = canvas.height = 1700;
            const context = canvas.getContext("2d");
            const pixels = context.createImageData(1700, 1700);
            for (let at = 0; at < pixels.data.length; at += 65536)
                crypto.getRandomValues(pixels.data.subarray(at, at + 65536));
            for (let at = 3; at < pixels.data.length; at += 4) pixels.data[at] = 255;
            context.putImageData(pixels, 0, 0);
            context.filter = "blur(2px)";
            context.drawImage(canvas, 0, 0);
            const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
            const file = new File([blob], "photograph.png", { type: "image/png" });
            const transfer = new DataTransfer();
            transfer.items.add(file);
            const input = document.getElementById("file");
            input.files = transfer.files;
            input.dispatchEvent(new Event("change"));
            return file.size;
        }"""
    )
    assert noise > 2 * 1024 * 1024
    ada.sees('.message.own[data-state="delivered"] .picture')
    grace.sees(".message .picture img")
    shown = grace.script(
        """async () => {
            const image = document.querySelector(".picture img");
            await image.decode();
            return image.naturalWidth;
        }"""
    )
    assert shown == 1600


def test_the_server_checks_what_the_page_would_never_send(visit: Visit) -> None:
    ada = visit()
    answers = ada.script(
        """async () => {
            const socket = io({ auth: { name: "Mallory", key: "0123456789abcdef" } });
            const ask = (...event) => socket.timeout(30000).emitWithAck(...event);
            const start = new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]);
            const big = new Uint8Array(2 * 1024 * 1024 + 1);
            big.set(start);
            await ask("join", "Lobby");
            return [
                await ask("image", "Lobby", "a", new TextEncoder().encode("<svg>")),
                await ask("image", "Lobby", "b", big),
                await ask("image", "Lobby", "c", "no bytes at all"),
                await ask("message", "Lobby", "d", "x".repeat(2001)),
                await ask("message", "Music", "e", "not a member"),
                await ask("message", "Lobby", "f", { text: "no text" }),
                await ask("message", "Lobby", "g", "this one is fine"),
            ].map((answer) => Boolean(answer.ok));
        }"""
    )
    assert answers == [False] * 6 + [True]
    ada.joins("Ada")
    assert ada.texts(".message .content") == ["this one is fine"]


def test_rooms_are_apart(visit: Visit) -> None:
    ada, grace = visit(), visit()
    ada.joins("Ada")
    grace.joins("Grace")
    grace.enters("Ideas")
    grace.says("A room for ideas")
    grace.sees_delivered("A room for ideas")
    assert ada.texts(".message") == []
    ada.enters("Ideas")
    ada.sees_message("Grace", "A room for ideas")
    ada.enters("Lobby")
    assert ada.texts(".message") == []
    grace.says("Another one")
    ada.sees('.room[data-room="Ideas"] .unread', "1")
    ada.enters("Ideas")
    ada.sees_message("Grace", "Another one")
    ada.sees_no('.room[data-room="Ideas"] .unread')
    ada.clicks("#leave-room")
    ada.sees("#room-name", "Lobby")
    grace.sees(".note", "Ada left")
    grace.sees("#room-people", "Only you are here")


def test_a_new_room_is_seen_by_all_until_it_is_empty(visit: Visit) -> None:
    ada, grace = visit(), visit()
    ada.joins("Ada")
    grace.joins("Grace")
    ada.clicks("#new-room-name")
    ada.types("Night watch")
    ada.presses("Enter")
    ada.sees("#room-name", "Night watch")
    grace.enters("Night watch")
    grace.says("All is well")
    ada.sees_message("Grace", "All is well")
    grace.clicks("#leave-room")
    ada.clicks("#leave-room")
    grace.sees_no('.room[data-room="Night watch"]')


def test_a_late_comer_reads_what_was_said(visit: Visit) -> None:
    ada = visit()
    ada.joins("Ada")
    ada.says("first")
    ada.sends_file("hill.png", "image/png", PICTURE)
    ada.says("last")
    ada.sees_delivered("last")
    ada.sees('.message.own[data-state="delivered"] .picture')
    grace = visit()
    grace.joins("Grace")
    grace.sees_message("Ada", "last")
    sees_picture(grace)
    assert len(grace.texts(".message")) == 3


def test_the_history_has_a_bound(visit: Visit) -> None:
    ada = visit()
    ada.script(
        """async () => {
            const socket = io({ auth: { name: "Chatterbox", key: "0123456789abcdef" } });
            await socket.timeout(30000).emitWithAck("join", "Lobby");
            for (let at = 0; at < 130; at++)
                await socket.timeout(30000).emitWithAck("message", "Lobby", `k${at}`, `line ${at}`);
            const png = new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]);
            await socket.timeout(30000).emitWithAck("join", "Ideas");
            for (let at = 0; at < 12; at++)
                await socket.timeout(30000).emitWithAck("image", "Ideas", `k${at}`, png);
        }"""
    )
    ada.joins("Ada")
    ada.sees_message("Chatterbox", "line 129")
    assert ada.texts(".message .content") == [f"line {at}" for at in range(30, 130)]
    ada.enters("Ideas")
    assert len(ada.texts(".message .picture")) == 10


def test_a_restart_of_the_server_loses_no_message(visit: Visit, chat: Chat) -> None:
    ada, grace = visit(), visit()
    ada.joins("Ada")
    grace.joins("Grace")
    ada.says("before")
    grace.sees_message("Ada", "before")
    chat.stop()
    ada.sees("#banner", "Connection lost")
    ada.sees("#link", "offline")
    grace.sees("#banner", "Connection lost")
    ada.says("meanwhile")
    ada.sees('.message.own[data-state="pending"]', "meanwhile")
    chat.start()
    ada.sees_delivered("meanwhile")
    ada.sees_no("#banner")
    grace.sees_no("#banner")
    grace.sees_message("Ada", "meanwhile")
    grace.says("after")
    ada.sees_message("Grace", "after")
    assert ada.texts(".message .content") == ["before", "meanwhile", "after"]
    assert grace.texts(".message .content") == ["before", "meanwhile", "after"]


def test_a_message_whose_answer_was_lost_is_there_once(visit: Visit) -> None:
    ada, grace = visit(), visit()
    grace.joins("Grace")
    ada.loses_the_next_answer()
    ada.reloads()
    ada.joins("Ada")
    ada.sees("#link", "live over WebSocket")
    # It may be back before anybody looks.
    ada.keeps_watching("#banner")
    ada.says("only once")
    ada.saw("#banner", "Connection lost")
    ada.saw("#banner", "Connected again")
    ada.sees_no("#banner")
    ada.sees_delivered("only once")
    ada.says("and on it goes")
    ada.sees_delivered("and on it goes")
    grace.sees_message("Ada", "and on it goes")
    # What the history has brought gives way when the answer comes.
    ada.sees_no('.message.own[data-state="pending"]')
    assert ada.texts(".message .content") == ["only once", "and on it goes"]
    assert grace.texts(".message .content") == ["only once", "and on it goes"]


def test_a_nickname_belongs_to_one_person(visit: Visit) -> None:
    ada, other = visit(), visit()
    ada.joins("Ada")
    other.signs_in("ada")
    other.sees("#sign-in-problem", "Somebody here is already called ada.")
    other.joins("Ada II")
    # A reload is the same person.
    ada.open(ada.page.url)
    ada.reloads()
    ada.joins("Ada")


def test_nothing_that_people_write_becomes_markup(visit: Visit) -> None:
    ada, grace = visit(), visit()
    attack = "<img src=x onerror=document.title='0wned'>"
    ada.joins("Ada")
    grace.joins("<b>Grace</b>")
    grace.enters("Lobby")
    grace.says(attack)
    grace.says(links := "see https://example.com/?a=1&b=<i>, or javascript:alert(1)")
    ada.sees_message("<b>Grace</b>", attack)
    ada.sees(".message a", re.compile(r"^https://example\.com/\?a=1&b=$"))
    assert ada.texts(".message .content") == [attack, links]
    assert ada.texts(".message a") == ["https://example.com/?a=1&b="]
    assert ada.script("document.querySelectorAll('.messages img, .messages b').length") == 0
    assert "0wned" not in ada.script("document.title")


def test_the_keyboard_is_enough(visit: Visit) -> None:
    ada = visit()
    ada.has_focus("#nickname")
    ada.types("Ada")
    ada.presses("Enter")
    ada.sees("#people .you:visible", "you")
    ada.has_focus("#text")
    ada.types("Enter sends")
    ada.presses("Enter")
    ada.sees_delivered("Enter sends")
    ada.types("one")
    ada.presses("Shift+Enter")
    ada.types("two")
    ada.presses("Enter")
    ada.sees_delivered("one\ntwo")
    ada.enters("Music")
    ada.presses("Alt+ArrowUp")
    ada.sees("#room-name", "Lobby")
    ada.presses("Alt+ArrowDown")
    ada.sees("#room-name", "Music")


def test_on_a_phone_rooms_and_people_are_in_drawers(visit: Visit, screenshots: Path) -> None:
    ada, grace = visit(), visit(**PHONE)
    ada.joins("Ada")
    grace.signs_in("Grace")
    ada.sees("#people .name", "Grace")
    ada.says("Are you on the train?")
    grace.sees_message("Ada", "Are you on the train?")
    grace.says("Yes, and the chat fits my phone.")
    grace.sees_delivered("fits my phone")
    grace.sees_no("#rooms-panel")
    grace.screenshot(screenshots / "phone.png")
    grace.clicks("#show-people")
    grace.sees("#people .name", "Ada")
    grace.presses("Escape")
    grace.sees_no("#people-panel")
    grace.clicks("#show-rooms")
    grace.sees(".room", "Ideas")
    grace.screenshot(screenshots / "phone-rooms.png")
    grace.chooses("Ideas")
    grace.sees_no("#rooms-panel")
    width = grace.script("[document.documentElement.scrollWidth, innerWidth]")
    assert width == [390, 390]


def test_without_the_client_the_page_says_what_to_run(visit: Visit) -> None:
    page = visit(without_client=True)
    page.sees("#setup", "npm --prefix examples/chat ci")
    page.sees_no("#nickname")
