"""What of a client travels to other processes by pickle: no credentials, no running execution."""

from __future__ import annotations

import copy
from typing import Any, ClassVar, NoReturn, Self
from urllib.parse import urlsplit

import requests
from owslib.util import Authentication
from requests.utils import get_auth_from_url

from ...errors import InvalidRequest

# ---- credentials ----


class Login(Authentication):
    """OWSLib's `Authentication`, with no secret in its repr and its pickle."""

    def __repr__(self) -> str:
        kind = "auth_delegate" if self.auth_delegate is not None else "username"
        given = self.auth_delegate is not None or self.username is not None
        return f"<{type(self).__name__} {kind}={'...' if given else None}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _without_secrets, (self.verify,)


def _without_secrets(verify: bool | str | None) -> Login:
    return Login(verify=verify)


def split_login(url: str) -> tuple[str, tuple[str, str] | None]:
    """Return a URL without user and password, and these, unescaped."""
    parts = urlsplit(url)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    login = get_auth_from_url(url)
    return bare, login if any(login) else None


def as_authentication(auth: Any) -> Authentication:
    """Return what OWSLib expects; the user's own one stays as it is."""
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


def requests_auth(auth: Authentication) -> Any:
    """Return OWSLib's authentication as requests takes it."""
    if auth.auth_delegate is not None:
        return auth.auth_delegate
    return (auth.username, auth.password) if auth.username and auth.password else None


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


# ---- running executions ----


class CannotTravel(InvalidRequest, TypeError):
    """An `InvalidRequest`, and the TypeError that pickle raises in that case."""


class StaysHere:
    """An object of this process only: it can be copied here, and pickle refuses it."""

    #: What to send to the other process instead, for the error's message.
    sent_instead: ClassVar[str]

    def __getstate__(self) -> dict[str, Any]:
        return vars(self)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise CannotTravel(
            f"{self!r} cannot be sent to another process: the workflow that started it follows "
            f"and records it. Send {self.sent_instead}"
        )

    def __copy__(self) -> Self:
        made = type(self).__new__(type(self))
        if isinstance(made, dict) and isinstance(self, dict):
            made.update(self)
        vars(made).update(self.__getstate__())
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        made = memo[id(self)] = copy.copy(self)
        if isinstance(made, dict) and isinstance(self, dict):
            made.update(copy.deepcopy(dict(self), memo))
        vars(made).update(copy.deepcopy(vars(made), memo))
        return made
