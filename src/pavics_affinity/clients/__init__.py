"""Clients of WPS and OGC API services, each standing on a session."""
