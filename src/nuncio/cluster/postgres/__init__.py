"""Clusters over PostgreSQL: the adapter over LISTEN and NOTIFY, as JavaScript servers have it."""
