"""The library that speaks QUIC, aioquic, is an extra: whoever asks for it without gets told so."""

from __future__ import annotations

from importlib.util import find_spec

from nuncio.errors import OptionError


def check_extra() -> None:
    """Check that aioquic is installed, without importing it.

    Raises:
        OptionError: when it is not, with what to install.
    """
    if find_spec("aioquic") is None:
        raise OptionError("webtransport needs aioquic: pip install 'nuncio[webtransport]'")
