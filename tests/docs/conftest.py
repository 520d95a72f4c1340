"""Chromium, for the page of the quick start."""

from __future__ import annotations

from tests.browser.conftest import browser as browser
from tests.browser.conftest import run as run
