"""Clusters over MongoDB: documents of one collection, read by a change stream."""
