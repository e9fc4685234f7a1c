"""What leaves: the routing key in, credentials only for whom they were given, TLS settings."""

from __future__ import annotations

from typing import Any, NamedTuple

import requests

from ..errors import MachineIdConflict, OutOfScope
from ..pin import Pin, Target
from ..protocol import split_key
from ..topology.urls import origin_of
from .credentials import Origins, OriginSettings, check_files
from .environment import environment_proxies
from .wire import SECRET_HEADERS, WireRequest, without_secrets


class Options(NamedTuple):
    """As requests gives them to an adapter."""

    stream: bool = False
    verify: bool | str = True
    cert: Any = None
    proxies: Any = None


class Outgoing(NamedTuple):
    """A request as it leaves, and how."""

    wire: WireRequest
    verify: bool | str
    cert: Any
    proxies: Any


def outgoing(
    request: requests.PreparedRequest, target: Target, pin: Pin, origins: Origins, given: Options
) -> Outgoing:
    """Copy a request for its target.

    Raises
    ------
    MachineIdConflict
        It brings another machineid than the workflow's.
    OutOfScope
        A login for https would go to a node in clear.
    InvalidRequest
        A file of certificates does not exist.
    """
    url = request.url or ""
    wire = WireRequest.copy_of(request, target.url)
    _drop_own_key(wire.headers, target, pin, url)
    if target.key is not None:
        wire.headers[target.header] = target.key
    settings, proxies = origins.of(url), given.proxies
    verify = given.verify if settings.verify is None else settings.verify
    if target.url != url:
        settings = _of_the_node(wire, settings, pin, origins, url)
        verify = verify if settings.verify is None else settings.verify
        proxies = environment_proxies(target.url)
    for name, value in settings.headers.items():
        wire.headers.setdefault(name, value)
    cert = settings.cert if given.cert is None else given.cert
    over_tls = target.url.lower().startswith("https:")  # else requests needs no authority
    check_files(verify if over_tls else None, cert, url)
    if target.execute:
        wire.headers["Connection"] = "close"
    return Outgoing(wire, verify, cert, proxies)


def harmless(sent: Outgoing, target: Target) -> Outgoing:
    """Return a GetCapabilities to the same node."""
    wire = WireRequest.copy_of(
        sent.wire, f"{target.url.partition('?')[0]}?service=WPS&request=GetCapabilities"
    )
    wire.method, wire.body, wire.tls_name = "GET", None, sent.wire.tls_name
    for name in ("Content-Length", "Content-Type", "Transfer-Encoding"):
        wire.headers.pop(name, None)
    return Outgoing(wire, sent.verify, sent.cert, sent.proxies)


def _of_the_node(
    wire: WireRequest,
    given: OriginSettings,
    pin: Pin,
    origins: Origins,
    url: str,
) -> OriginSettings:
    """Return the settings for a node that is asked itself: the service's are not for its eyes.

    Only a user who chose route='direct' gave them for the nodes.
    """
    public, actual = origin_of(url), origin_of(wire.url or "")
    if public and actual and actual.scheme == "https":
        wire.tls_name = public.host  # a node shows the service's certificate
    if pin.route_policy == "direct":
        secret = given.has_credentials or any(name in wire.headers for name in SECRET_HEADERS)
        if secret and public and actual and public.scheme == "https" != actual.scheme:
            raise OutOfScope(
                f"the credentials for {public} are not sent in clear to {actual}. Set "
                "tls = true on the service if its nodes speak https, or use route='proxy'",
                machineid=pin.machineid,
                url=url,
            )
        return given
    without_secrets(wire.headers)
    settings = origins.of(wire.url or "")
    if callable(settings.auth):
        settings.auth(wire)
    return settings


def _drop_own_key(headers: Any, target: Target, pin: Pin, url: str) -> None:
    """Remove a machineid that the caller set: the workflow's is the one that is sent."""
    for name in {target.header, pin.header}:
        value = headers.get(name)
        if value is None:
            continue
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        if target.key is not None and split_key(text)[0] != pin.machineid:
            raise MachineIdConflict(
                f"the request has {name}: {text!r}, and the workflow's machineid is "
                f"{pin.machineid!r}. Leave the header out, pass it to the first client, too, or "
                f"make the workflow with Workflow({text!r})",
                machineid=pin.machineid,
                url=url,
            )
        if target.key is not None or split_key(text)[0] == pin.machineid:
            del headers[name]
