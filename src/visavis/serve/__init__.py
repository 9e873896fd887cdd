"""The live server: HTTP, WebRTC, WebSocket and a page, each a thin adapter round a Session."""
