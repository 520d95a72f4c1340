"""Clusters over Redis: three families of adapters, as JavaScript servers have, and emitters."""
