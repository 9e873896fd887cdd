"""Models by name: those in the package, and published ones that are fetched from a hub.

``assets`` is all that the plain path needs. ``catalog`` says what is published where and under
which licence, ``folder`` where it lies on this machine, ``fetch`` brings it.
"""

from visavis.hub.assets import ASSETS, PACKAGED, asset, manifest

__all__ = ["ASSETS", "PACKAGED", "asset", "manifest"]
