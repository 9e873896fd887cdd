"""Where a live session can go besides its page: each output takes an async iterator of moments.

``mjpeg`` and ``fmp4`` yield bytes for HTTP, ``record`` writes a signed file, ``push`` and ``whip``
send to a media server, ``camera`` to other programs of this machine. All of them encode away from
the event loop, and none may hold up the session: give them an iterator that drops what they do not
take in time (``visavis.serve.feeds.Feed``); what was dropped is heard as silence, in its place.
"""
