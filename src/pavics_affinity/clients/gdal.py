"""GDAL's options that lead its requests to a workflow's node.

rasterio, fiona and pyogrio each bring their own GDAL, with its own options. GDAL has
options by path, too, which would keep the header from other hosts; none of the three can set them.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import requests

from ..errors import InvalidRequest
from .links import headers_for

if TYPE_CHECKING:
    from ..transport import AffinitySession

_LIBRARIES = ("rasterio", "fiona", "pyogrio")


class GdalEnv(dict[str, str]):
    """Options of GDAL by name, and a context manager that sets them in the libraries in use.

    Parameters
    ----------
    options : mapping
        Values by name.
    machineid : str
        Of the workflow, for messages.
    """

    def __init__(self, options: Mapping[str, str], machineid: str) -> None:
        super().__init__(options)
        self.machineid = machineid
        self._entered = threading.local()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of workflow {self.machineid!r}: {', '.join(self)}>"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for name in _in_use():
                library = import_module(name)
                pyogrio = name == "pyogrio"
                stack.enter_context(_set_in_pyogrio(self) if pyogrio else library.Env(**self))
            self._stacks.append(stack.pop_all())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stacks.pop().close()

    @property
    def _stacks(self) -> list[ExitStack]:
        # Each thread leaves what it has entered itself.
        return self._entered.__dict__.setdefault("stacks", [])  # type: ignore[no-any-return]


def gdal_env_for(session: AffinitySession, url: str) -> GdalEnv:
    """Return the options for a URL; see `Workflow.gdal_env`."""
    headers = headers_for(session, url) | _credentials(session, url)
    parts = urlsplit(url)
    options = {
        "GDAL_HTTP_HEADERS": "\r\n".join(f"{name}: {value}" for name, value in headers.items()),
        # A 404 of another node would be remembered for the URL.
        "CPL_VSIL_CURL_NON_CACHED": f"/vsicurl/{parts.scheme}://{parts.netloc}",
    }
    return GdalEnv(options | _tls(session, url), session.machineid)


def _credentials(session: AffinitySession, url: str) -> dict[str, str]:
    """Return the headers that log a client in; digest needs a dialogue, and is not among them."""
    given = dict(session.affinity.origins.of(url).headers)
    prepared = session.prepare_request(requests.Request("GET", url))
    logins = {name: prepared.headers.get(name) for name in ("Authorization", "Cookie")}
    return {name: value for name, value in {**given, **logins}.items() if value}


def _tls(session: AffinitySession, url: str) -> dict[str, str]:
    settings = session.affinity.origins.of(url)
    options: dict[str, str] = {}
    if settings.verify is False:
        options["GDAL_HTTP_UNSAFESSL"] = "YES"
    elif isinstance(settings.verify, str):
        is_directory = Path(settings.verify).is_dir()
        options["GDAL_HTTP_CAPATH" if is_directory else "CURL_CA_BUNDLE"] = settings.verify
    if settings.cert is not None:
        both = (settings.cert,) * 2 if isinstance(settings.cert, str) else settings.cert
        options["GDAL_HTTP_SSLCERT"], options["GDAL_HTTP_SSLKEY"] = both
    return options


def _in_use() -> list[str]:
    """Name the libraries that are imported; geopandas imports its one when it reads."""
    if "geopandas" in sys.modules:
        import_module("pyogrio")
    found = [name for name in _LIBRARIES if name in sys.modules]
    if not found:
        raise InvalidRequest(
            "no library that reads with GDAL is imported yet, so the options were not set. Import "
            "rasterio, fiona or geopandas before the with block; for another program or library, "
            "pass it the options: wf.gdal_env(url) is a mapping"
        )
    return found


# ---- pyogrio: its options are those of all threads ----

_LOCK = threading.Lock()
_open: list[tuple[int, GdalEnv]] = []
_before: dict[str, Any] = {}


@contextmanager
def _set_in_pyogrio(options: GdalEnv) -> Iterator[None]:
    import pyogrio

    def apply() -> None:
        wanted = dict(_before)
        for _, entered in _open:
            wanted.update(entered)
        pyogrio.set_gdal_config_options(wanted)

    here = threading.get_ident(), options
    with _LOCK:
        for thread, other in _open:
            if thread != here[0] and other != options:
                raise InvalidRequest(
                    "geopandas reads with pyogrio, which has one set of options for all threads, "
                    f"and another thread is reading for workflow {other.machineid!r}. Read for "
                    "one workflow at a time; or download the file, and open that",
                    machineid=options.machineid,
                )
        for name in options:
            _before.setdefault(name, pyogrio.get_gdal_config_option(name))
        _open.append(here)
        apply()
    try:
        yield
    finally:
        with _LOCK:
            _open.remove(here)
            apply()
            if not _open:
                _before.clear()
