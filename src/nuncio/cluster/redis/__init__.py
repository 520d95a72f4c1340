"""Clusters over Redis: the three families of adapters that JavaScript servers have, and emitters."""
