"""Opening outputs with xarray: files, and OPeNDAP resources over the workflow's session.

HDF5 is not thread-safe, and two opens at once have crashed the interpreter, so
they take turns. A file is kept while its dataset is open, and no longer than
Python runs: it is read lazily, also after the workflow has ended.

pydap accepts a session, but has sent its requests by another one since 3.5.6. It also
accepts a WSGI application to ask instead of a server, and asks nothing else: so it gets
one that sends each request by the workflow's session.
"""

from __future__ import annotations

import contextlib
import secrets
import tempfile
import threading
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import requests

from ...errors import AffinityError, DownloadFailed, MissingExtra, OutputUnavailable
from ...record import operation
from ..http.answers import MAX_DOCUMENT, Answer, BodyBroken, TooLarge
from ..http.sending import get_once
from .resource import Resource, Source, plain_type

if TYPE_CHECKING:
    import xarray
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from ...transport import AffinitySession

#: Held while a file is opened or closed.
HDF5_LOCK = threading.RLock()

#: Bytes of values in one answer; the documents that describe them have `MAX_DOCUMENT`.
MAX_VALUES = 2**31
#: The media type by which PyWPS announces an OPeNDAP resource.
MIMETYPE = "application/x-ogc-dods"

_LABEL = "the OPeNDAP resource"
_TIMEOUT = (5.0, 10.0)
_ATTEMPTS = 3  # of an answer that breaks off


@cache
def _directory() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="pavics-affinity-", ignore_cleanup_errors=True)


def scratch(name: str) -> Path:
    """Return a path, in a new directory, for a file that is removed when Python ends.

    The name is expected to be clean.
    """
    with HDF5_LOCK:  # `cache` lets two threads make one each
        own = Path(_directory().name) / secrets.token_hex(6)
    own.mkdir(parents=True)
    return own / name


def open_file(path: Path, **options: Any) -> xarray.Dataset:
    """Open a file made by `scratch` with xarray's options; closing the dataset removes it."""
    try:
        import xarray
    except ImportError as error:
        raise MissingExtra.of("notebook", "Opening an output as a dataset") from error
    with HDF5_LOCK:
        try:
            dataset = xarray.open_dataset(path, **options)
        except BaseException:
            _remove(path)
            raise

    def close() -> None:
        with HDF5_LOCK:
            dataset.close()
            _remove(path)

    shown = dataset.copy()  # shallow, and still lazy: `dataset` keeps the file's own closing
    shown.set_close(close)
    return shown


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
        path.parent.rmdir()


# ---- OPeNDAP ----


def is_opendap(session: AffinitySession, url: str, media_type: str | None) -> bool:
    """Return whether a URL is an OPeNDAP resource.

    It is one by its media type, or if its server answers HEAD with a ``Content-Description``
    that begins with ``dods``, as DAP 2 defines it.
    """
    if plain_type(media_type) == MIMETYPE:
        return True
    try:
        with operation("is it OPeNDAP?"):
            response = session.head(url, timeout=_TIMEOUT, allow_redirects=True, stream=True)
    except requests.ConnectionError:
        return False  # the download that follows raises the error
    response.close()
    # Whatever the status: of a resource's bare URL, servers say 400 and "dods-error".
    return response.headers.get("Content-Description", "").lower().startswith("dods")


def open_url(session: AffinitySession, url: str, **options: Any) -> xarray.Dataset:
    """Open an OPeNDAP resource with xarray; values are fetched when they are looked at.

    `url` is the resource's URL, without a suffix such as ``.dds``. OutputUnavailable and
    DownloadFailed may also be raised later, when values are fetched.
    """
    try:
        import pydap.client  # noqa: F401  # xarray imports it later, and its error differs
        import xarray
    except ImportError as error:
        raise MissingExtra.of("opendap", "Opening an OPeNDAP output") from error
    through = _Through(session, url)
    try:
        return xarray.open_dataset(url, engine="pydap", application=through, **options)
    except AffinityError:
        raise
    except Exception as error:  # pydap's parsers raise bare Exceptions
        raise Source(session, Resource(url), _LABEL).error(
            OutputUnavailable,
            f"cannot be opened: {str(error)[:200]}. Look at the URL with .dds behind it in a "
            "browser, or ask the server's operator",
        ) from error


class _Through:
    """A WSGI application that answers with what the session fetches from a server."""

    def __init__(self, session: AffinitySession, url: str) -> None:
        self._session = session
        self._origin = urlsplit(url)._replace(path="", query="", fragment="").geturl()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["SCRIPT_NAME"] + environ["PATH_INFO"]
        # WSGI passes the bytes of a path as latin-1, unescaped.
        url = self._origin + quote(path.encode("latin-1"))
        if environ["QUERY_STRING"]:
            url += "?" + environ["QUERY_STRING"]
        limit = MAX_VALUES if path.endswith(".dods") else MAX_DOCUMENT
        answer = self._fetch(url, limit)
        kept = ("content-type", "content-description", "xdap", "xdods-server")
        headers = [(k, v) for k, v in answer.response.headers.items() if k.lower() in kept]
        start_response("200 OK", headers)
        return [answer.body]

    def _fetch(self, url: str, limit: int) -> Answer:
        """Ask for a document or values; again if the answer breaks off."""
        source = Source(self._session, Resource(url), _LABEL)
        for _ in range(_ATTEMPTS):
            try:
                answer = get_once(self._session, url, doing="OPeNDAP", limit=limit, timed=False)
            except TooLarge as error:
                raise source.error(
                    DownloadFailed,
                    f"gives more than {limit // 2**20} MB at once; take less at a time, by "
                    ".isel(...) or chunks=",
                ) from error
            except BodyBroken as error:
                broken = error
            else:
                if answer.status == 200:
                    return answer
                raise source.error(
                    OutputUnavailable,
                    f"answers HTTP {answer.status}. If it is gone, run the process again",
                    response=answer.response,
                )
        raise source.error(
            DownloadFailed,
            f"broke off {_ATTEMPTS} times ({broken}); try again later",
            attempts=_ATTEMPTS,
        ) from broken
