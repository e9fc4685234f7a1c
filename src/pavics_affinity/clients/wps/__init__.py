"""The WPS client: a drop-in for `owslib.wps.WebProcessingService`."""

from .service import WebProcessingService

__all__ = ["WebProcessingService"]
