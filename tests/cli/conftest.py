"""The tool in this process, against a server in this process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.server import io
from tests.support.live import Home


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    served = Home(io)
    yield served
    served.close()
