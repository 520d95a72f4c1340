"""Rooms and broadcasts, on one server or many: the adapter interface and its engines."""
