"""The pin: machineid and node per site, the route of a request, the evidence of an answer."""

from .pin import Pin, Route
from .site import Site, Target

__all__ = ["Pin", "Route", "Site", "Target"]
