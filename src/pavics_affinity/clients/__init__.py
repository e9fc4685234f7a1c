"""Clients of WPS and OGC API services, each using a session."""
