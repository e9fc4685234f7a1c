"""URLs that a server's document names: hostile until checked."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from ..errors import OutOfScope


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
        It is no ``http`` or ``https`` URL with a host: ``file:///etc/passwd``, say.
    """
    try:
        absolute = urljoin(base, url.strip())
        parts = urlsplit(absolute)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port  # an impossible one raises
    except (ValueError, AttributeError, TypeError):
        usable = False
    if not usable or any(ord(c) < 0x20 or ord(c) == 0x7F for c in absolute):
        raise OutOfScope(
            f"{what} is at {url!r}, which is no http or https URL; it was not asked for", url=url
        )
    return absolute


def check_service_url(url: object) -> None:
    """Raise `OutOfScope` unless this is an http or https URL."""
    parts = urlsplit(url) if isinstance(url, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise OutOfScope(
            f"the service's URL is {url!r}; expected an http or https URL",
            url=url if isinstance(url, str) else None,
        )


def same_host(one: str, other: str) -> bool:
    """Tell whether two absolute URLs name the same host, on whatever port."""
    return urlsplit(one).hostname == urlsplit(other).hostname
