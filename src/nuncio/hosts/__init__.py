"""What carries requests to the engine: ASGI servers, and uvicorn with a native WebSocket path."""
