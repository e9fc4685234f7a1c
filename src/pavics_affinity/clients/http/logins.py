"""What a client holds of its user's credentials, kept out of sight and out of pickles."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import requests
from owslib.util import Authentication
from requests.utils import get_auth_from_url

from ...errors import InvalidRequest


class Login(Authentication):
    """OWSLib's, of which neither repr nor pickle tells a secret."""

    def __repr__(self) -> str:
        kind = "auth_delegate" if self.auth_delegate is not None else "username"
        given = self.auth_delegate is not None or self.username is not None
        return f"<{type(self).__name__} {kind}={'...' if given else None}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _without_secrets, (self.verify,)


def _without_secrets(verify: bool | str | None) -> Login:
    return Login(verify=verify)


def split_login(url: str) -> tuple[str, tuple[str, str] | None]:
    """Take user and password out of a URL.

    Returns
    -------
    (str, (str, str) or None)
        The URL without them, and what they are, unescaped.
    """
    parts = urlsplit(url)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    login = get_auth_from_url(url)
    return bare, login if any(login) else None


def as_authentication(auth: Any) -> Authentication:
    """Return what OWSLib expects; the user's own one stays as it is.

    Raises
    ------
    InvalidRequest
        It is nothing that can log anybody in.
    """
    if auth is None:
        return Login()
    if isinstance(auth, Authentication):
        return auth
    if isinstance(auth, requests.auth.AuthBase):
        return Login(auth_delegate=auth)
    if isinstance(auth, tuple | list) and len(auth) == 2 and all(isinstance(a, str) for a in auth):
        return Login(*auth)
    raise InvalidRequest(
        f"auth is a {type(auth).__name__}; expected (user, password), a requests.auth.AuthBase "
        "such as HTTPDigestAuth, or an owslib.util.Authentication. For a bearer token pass "
        "headers={'Authorization': 'Bearer ...'}"
    )


class KeepsItsLogin:
    """A client whose copies, pickled ones too, hold no credentials."""

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self))
        auth = state.get("auth")
        if isinstance(auth, Authentication):
            state["auth"] = _without_secrets(auth.verify)
        if state.get("headers"):
            state["headers"] = {}
        if state.get("_bound"):
            state["_bound"] = None
        return state
