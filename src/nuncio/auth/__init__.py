"""Who a client is: middlewares that authenticate, and keep watch while the connection lasts.

`JWT` reads JSON Web Tokens (with the extra: `pip install nuncio[jwt]`); `middleware` makes the
same of any function, for sessions, API keys and whatever else proves who somebody is.
"""

from nuncio.auth.cookies import cookie as cookie
from nuncio.auth.identity import Authenticator as Authenticator
from nuncio.auth.identity import Identity as Identity
from nuncio.auth.middleware import Authentication as Authentication
from nuncio.auth.middleware import middleware as middleware
from nuncio.auth.tokens import JWT as JWT

__all__ = ["JWT", "Authentication", "Authenticator", "Identity", "cookie", "middleware"]
