"""The command line: `nuncio`, or `python -m nuncio`.

`import nuncio` does not come here, and what is here imports click and prompt_toolkit only when it
is used, so programs that use Nuncio pay for neither.
"""

from __future__ import annotations


def main() -> None:
    """What the command `nuncio` calls."""
    from nuncio.cli.app import run

    run()
