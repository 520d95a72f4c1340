"""Browsers that are connected to each other: who may be, and what they are told of one another.

The server passes on what two browsers need to find each other (`io.peers`), and vouches for who is
who. It takes no part in what they say then, unless they cannot reach each other and it relays.
"""

from nuncio.peers.policy import share_a_room as share_a_room

__all__ = ["share_a_room"]
