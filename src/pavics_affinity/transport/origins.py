"""Credentials, TLS settings and extra headers, each for the one origin it was given for."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..topology.urls import Origin, origin_of


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

    def of(self, url: str) -> OriginSettings:
        """Return the settings of the URL's origin."""
        origin = origin_of(url)
        return NOTHING if origin is None else self._settings.get(origin, NOTHING)
