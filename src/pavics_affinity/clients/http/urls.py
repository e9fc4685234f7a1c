"""URLs in a service's documents: checked before use, and explained where nothing answers."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from ...errors import (
    BackendUnavailable,
    OutputUnavailable,
    ServiceUnreachable,
    StatusLost,
    say_also,
)
from ...topology.urls import checked_url, is_loopback, origin_of

if TYPE_CHECKING:
    from ...transport import AffinitySession

#: Names that no public DNS has: of one label, or below a domain that is reserved for this.
_LOCAL_NAME = r"[^.]+|.+\.(localhost|local|localdomain|internal|intranet|lan|home|corp|private)"


def web_url(url: str, *, base: str, what: str) -> str:
    """Return a document's or user's URL as an absolute one, relative to `base`.

    `OutOfScope` is raised for what is not an http or https URL: ``file:///etc/passwd``,
    ``http://[::1/wps``. Its message calls the URL `what`.
    """
    absolute: object = url
    if isinstance(url, str) and url.strip().isprintable():  # urljoin drops line breaks
        with contextlib.suppress(ValueError):
            absolute = urljoin(base, url.strip())
    return checked_url(absolute, what)


def same_host(one: str, other: str) -> bool:
    """Return whether two absolute URLs name the same host, on any port."""
    return urlsplit(one).hostname == urlsplit(other).hostname


@contextlib.contextmanager
def named_by(service: str, session: AffinitySession, url: str) -> Iterator[None]:
    """Explain why a URL cannot be reached that a document of this service names."""
    try:
        yield
    except (BackendUnavailable, OutputUnavailable, ServiceUnreachable, StatusLost) as error:
        answered = isinstance(error, OutputUnavailable | StatusLost)
        advice = wrong_public_url(service, url, answered=answered)
        if advice is not None and not session.pin.in_scope(url):
            say_also(error, advice)
        raise


def wrong_public_url(service: str, url: str, *, answered: bool = False) -> str | None:
    """Say that a service names an address that works on its own side only.

    None if the URL is at the service's own host, or at a public one. If something
    `answered` there, only this machine can be the wrong one.
    """
    at, named = origin_of(service), origin_of(url)
    if at is None or named is None or at.host == named.host or not _is_private(named.host):
        return None
    if answered and not (_is_this_machine(named.host) and not _is_this_machine(at.host)):
        return None
    path = url.partition("://")[2].partition("/")[2]
    return (
        f"A document of the service at {at} names this address, but {named.host!r} is known on "
        "the service's side only: the service is configured with the wrong public URL. Its "
        "operator has to set the address that clients use (PyWPS: 'url' and 'outputurl' in the "
        f"section [server]). Until then, try {f'{at}/{path}'!r}. What was executed is unaffected: "
        "do not execute it again"
    )


def _is_private(host: str) -> bool:
    try:
        return not ip_address(host).is_global
    except ValueError:
        return re.fullmatch(_LOCAL_NAME, host.rstrip(".")) is not None


def _is_this_machine(host: str) -> bool:
    return is_loopback(host) or host.rstrip(".").endswith(".localhost")
