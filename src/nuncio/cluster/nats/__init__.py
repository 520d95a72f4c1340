"""Clusters over NATS: routed by NATS itself, and recovery by JetStream on any server."""
