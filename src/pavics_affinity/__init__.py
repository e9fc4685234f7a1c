"""Keep a chain of WPS processes on the machine that holds its files."""

__version__ = "0.1.0"
