"""The process with the official clients."""

from __future__ import annotations

from tests.interop.conftest import node as node
