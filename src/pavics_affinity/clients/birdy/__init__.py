"""birdy's `WPSClient`, whose every request keeps to the workflow's node."""

from .client import WPSClient

__all__ = ["WPSClient"]
