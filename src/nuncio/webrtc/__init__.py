"""WebRTC data channels as a transport (experimental; needs the extra `webrtc`).

Nothing of it is imported unless the transport is asked for.
"""
