"""Credentials, TLS settings and extra headers, each for the one origin it was given for."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from ..errors import InvalidRequest
from ..topology.urls import Origin, origin_of
from .wire import shown


def is_upgrade(before: str, url: str) -> bool:
    """Tell whether a redirect leads from http to https of the same host, both on usual ports."""
    old, new = origin_of(before), origin_of(url)
    if old is None or new is None or old.host != new.host:
        return False
    return (old.scheme, old.port, new.scheme, new.port) == ("http", 80, "https", 443)


@dataclass(frozen=True, slots=True)
class OriginSettings:
    """What a user gave for one origin; its repr tells no secret."""

    auth: Any = field(default=None, repr=False)
    verify: bool | str | None = None
    cert: str | tuple[str, str] | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def has_credentials(self) -> bool:
        """Whether anything here is meant for this origin's eyes only."""
        return self.auth is not None or self.cert is not None or bool(self.headers)


NOTHING = OriginSettings()


def check_files(verify: Any, cert: Any, url: str) -> None:
    """Raise `InvalidRequest` if a file of certificates is not there, before anything is sent."""
    files = cert if isinstance(cert, tuple | list) and len(cert) == 2 else (cert,)
    given = [] if verify is None or isinstance(verify, bool) else [("verify", verify)]
    given += [("cert", each) for each in files if each is not None]
    for name, path in given:
        if not isinstance(path, str | os.PathLike) or not Path(path).exists():
            raise InvalidRequest(
                f"{shown(url)} was not asked: {name} is {path!r}, which is not the path of a file "
                "that exists. Give one; without verify= the usual authorities are trusted, or "
                "those that REQUESTS_CA_BUNDLE names",
                url=url,
            )


def check_headers(headers: Mapping[str, Any], url: str) -> None:
    """Raise `InvalidRequest` if a header cannot be sent; the message holds none of its value."""
    for name, value in headers.items():
        if value is None:  # takes a header of the session away
            continue
        try:
            requests.utils.check_header_validity((name, value))
            f"{name}{value}".encode("latin-1")
        except (UnicodeError, requests.exceptions.InvalidHeader):
            raise InvalidRequest(
                f"{shown(url)} was not asked: the header {name!r} cannot be sent. Its value must "
                "be text without line breaks and without characters beyond Latin-1",
                url=url,
            ) from None


class Origins:
    """Settings by exact origin: scheme, host and port."""

    def __init__(self) -> None:
        self._settings: dict[Origin, OriginSettings] = {}
        self._lock = threading.Lock()

    def put(self, url: str, given: OriginSettings) -> None:
        """Keep settings for the URL's origin; what is given anew replaces what was."""
        origin = origin_of(url)
        if origin is None:
            return
        with self._lock:
            old = self._settings.get(origin, NOTHING)
            self._settings[origin] = OriginSettings(
                auth=old.auth if given.auth is None else given.auth,
                verify=old.verify if given.verify is None else given.verify,
                cert=old.cert if given.cert is None else given.cert,
                headers={**old.headers, **given.headers},
            )

    def upgrade(self, before: str, url: str) -> None:
        """Let what was given for http hold for https of the same host, too; its own comes first."""
        given, origin = self.of(before), origin_of(url)
        if given is NOTHING or origin is None:
            return
        own = self.of(url)
        self.put(url, given)
        self.put(url, own)

    def of(self, url: str) -> OriginSettings:
        """Return the settings of the URL's origin."""
        origin = origin_of(url)
        return NOTHING if origin is None else self._settings.get(origin, NOTHING)
