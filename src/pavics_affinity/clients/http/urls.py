"""URLs that a server's document names, and those of services: hostile until checked."""

from __future__ import annotations

import contextlib
from urllib.parse import urljoin, urlsplit

from ...topology.urls import checked_url


def web_url(url: str, *, base: str, what: str) -> str:
    """Return the absolute URL, if it is one that may be asked for.

    Parameters
    ----------
    url : str
        As a document or a user has it; a relative one is taken from `base`.
    base : str
        The service's URL.
    what : str
        What it is the URL of, for the error's message.

    Raises
    ------
    OutOfScope
        It is not an ``http`` or ``https`` URL that can be asked for:
        ``file:///etc/passwd``, say, or ``http://[::1/wps``.
    """
    absolute: object = url
    if isinstance(url, str) and url.strip().isprintable():  # urljoin drops line breaks
        with contextlib.suppress(ValueError):
            absolute = urljoin(base, url.strip())
    return checked_url(absolute, what)


def check_service_url(url: object) -> None:
    """Raise `OutOfScope` unless this is an http or https URL."""
    checked_url(url, "the service")


def same_host(one: str, other: str) -> bool:
    """Tell whether two absolute URLs name the same host, on whatever port."""
    return urlsplit(one).hostname == urlsplit(other).hostname
