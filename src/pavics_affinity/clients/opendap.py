"""Outputs that are OPeNDAP resources, read over the workflow's session.

pydap takes a session, and has sent its requests by another one since 3.5.6. It
also takes a WSGI application to ask in place of a server, and that it keeps to:
so it is given one that hands each request to the session.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import requests

from ..errors import MissingExtra
from ..record import operation
from .urls import web_url

if TYPE_CHECKING:
    import xarray
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from ..transport import AffinitySession
    from .outputs import Output

_TIMEOUT = (5.0, 10.0)


def is_opendap(output: Output) -> bool:
    """Tell whether the server calls the output an OPeNDAP resource.

    It is asked by HEAD: DAP 2 answers with a ``Content-Description`` that begins
    with ``dods``.
    """
    if output.reference is None:
        return False
    try:
        with operation("is it OPeNDAP?"):
            response = output.session.head(_url(output), timeout=_TIMEOUT, allow_redirects=True)
    except requests.ConnectionError:
        return False  # the download that follows says why
    response.close()
    return response.headers.get("Content-Description", "").lower().startswith("dods")


def open_url(output: Output, **options: Any) -> xarray.Dataset:
    """Open an OPeNDAP resource with xarray; values are fetched when they are looked at.

    Parameters
    ----------
    output : Output
        Its reference is the resource's URL, without ``.dds`` and its like.
    **options
        Those of `xarray.open_dataset`.

    Raises
    ------
    MissingExtra
        xarray or pydap is not installed.
    """
    try:
        import pydap.client  # noqa: F401  # xarray imports it late, with words of its own
        import xarray
    except ImportError as error:
        raise MissingExtra.of("opendap", "Opening an OPeNDAP output") from error
    url = _url(output)
    through = _Through(output.session, url)
    return xarray.open_dataset(url, engine="pydap", application=through, **options)


def _url(output: Output) -> str:
    return web_url(output.reference or "", base=output.service, what=f"output {output.identifier}")


class _Through:
    """A WSGI application that answers with what the session gets from a server."""

    def __init__(self, session: AffinitySession, url: str) -> None:
        self._session = session
        self._origin = urlsplit(url)._replace(path="", query="", fragment="").geturl()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["SCRIPT_NAME"] + environ["PATH_INFO"]
        # WSGI has a path's bytes as latin-1, and unescaped.
        url = self._origin + quote(path.encode("latin-1"))
        if environ["QUERY_STRING"]:
            url += "?" + environ["QUERY_STRING"]
        with operation("OPeNDAP"):
            response = self._session.get(url)
        kept = ("content-type", "content-description", "xdap", "xdods-server")
        headers = [(k, v) for k, v in response.headers.items() if k.lower() in kept]
        start_response(f"{response.status_code} {response.reason or 'OK'}", headers)
        return [response.content]
