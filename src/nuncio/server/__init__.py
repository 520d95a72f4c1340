"""The Socket.IO server: namespaces, sockets, rooms, events and acknowledgements."""
