"""How the application's functions are registered, bound and called, on a server or a client."""
