"""What the workers' mesh asks of the place where they meet: a folder, or Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from nuncio.workers.mesh import Mesh


class Place(Protocol):
    """Where workers find each other, and by which they are linked.

    Attributes:
        words: where that is, for people; no password is in it.
    """

    words: str

    async def open(self, mesh: Mesh) -> None:
        """Be found, and be linked with all who are there and who come.

        It settles the mesh's tag, which no two workers may have.

        Args:
            mesh: told of links and their ends.

        Raises:
            OptionError: when the place cannot be used.
            ConnectionError: when it cannot be reached.
        """

    async def close(self) -> None:
        """Leave: nobody is found here any longer, and all links end."""

    def stats(self) -> dict[str, int]:
        """Numbers as they are now; `strays` is what came and was of no link."""
