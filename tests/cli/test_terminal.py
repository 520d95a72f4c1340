"""Lines of standard input."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

from nuncio.cli.terminal import stdin_lines
from tests.support.aio import run_async, within


async def collected(lines: AsyncIterator[str]) -> list[str]:
    return [line async for line in lines]


@run_async
async def test_lines_come_one_by_one_as_they_are_written() -> None:
    reading, writing = os.pipe()
    lines = stdin_lines(reading)
    try:
        os.write(writing, b"one\r\ntw")
        assert await within(anext(lines)) == "one"
        os.write(writing, b"o\n\nlast")
        assert await within(anext(lines)) == "two"
        os.close(writing)
        assert await within(collected(lines)) == ["", "last"]
    finally:
        os.close(reading)


@run_async
async def test_what_is_no_text_is_taken_as_far_as_it_goes() -> None:
    reading, writing = os.pipe()
    os.write(writing, "ü".encode() + b"\xff\n")
    os.close(writing)
    assert await within(collected(stdin_lines(reading))) == ["ü\ufffd"]
    os.close(reading)


@run_async
async def test_no_more_is_read_ahead_than_there_is_room_for() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    lines = stdin_lines(reading)
    line = b"x" * 999 + b"\n"
    written = 0
    try:
        # Nobody takes lines, so at some time nothing more can be written.
        for _ in range(10_000):
            written += os.write(writing, line)
        raise AssertionError("everything was read")
    except BlockingIOError:
        assert written < 1_000_000
    finally:
        os.close(writing)
        assert sum(len(line) + 1 for line in await within(collected(lines))) >= written
        os.close(reading)


@run_async
async def test_a_closed_standard_input_is_an_empty_one() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    os.close(writing)
    assert await within(collected(stdin_lines(reading))) == []
