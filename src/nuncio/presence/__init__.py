"""Who is there: users in rooms, across all servers, without flapping.

`presence` is what applications use, `roll` the list of who is there, `replica` keeps it the same on
all servers, and `messages` are what they tell each other.
"""

from nuncio.presence.options import PresenceOptions
from nuncio.presence.presence import Presence
from nuncio.presence.roll import Present

__all__ = ["Presence", "PresenceOptions", "Present"]
