"""The protocol core: bytes to packets and packets to bytes, with no I/O in it.

Server, client, every transport and every host use this one core. It imports neither asyncio nor
anything above it.
"""
