"""The visible badge on the moments of a session: once, before they go to every output."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from visavis.provenance.badge import Badge, make_badge
from visavis.provenance.policy import Policy
from visavis.stream.moments import Moment


async def badged(moments: AsyncIterator[Moment], policy: Policy) -> AsyncIterator[Moment]:
    """Yield ``moments``, with the badge drawn into the picture where ``policy`` says "video".

    Raises:
        InputError: its text or font cannot be used.
    """
    badge: Badge | None = None
    async for moment in moments:
        if badge is None and policy.badge == "video":
            height, width = moment.image.shape[:2]
            badge = make_badge((width, height), policy)
        yield moment if badge is None else with_badge(moment, badge)


def with_badge(moment: Moment, badge: Badge) -> Moment:
    """Return ``moment`` with ``badge`` in its picture."""
    return replace(moment, image=badge.draw(moment.image, moment.index))
