"""The official client against servers in processes of their own."""

from __future__ import annotations

from tests.interop.conftest import node as node
