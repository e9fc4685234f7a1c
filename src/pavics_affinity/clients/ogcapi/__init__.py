"""The client of OGC API - Processes: a drop-in for `owslib.ogcapi.processes.Processes`."""
