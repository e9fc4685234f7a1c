"""The WSGI application of one backend: PyWPS, its outputs, and a log of what was asked."""

from __future__ import annotations

import io
import json
import mimetypes
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.security import safe_join
from werkzeug.utils import send_file

from . import journal
from .settings import READY_PATH

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Enough to hold the root element and the identifier, whatever is embedded after them.
_HEAD = 1 << 16
_ROOT = re.compile(rb"<(?:\w+:)?(GetCapabilities|DescribeProcess|Execute)\b")
_IDENTIFIER = re.compile(rb"<(?:\w+:)?Identifier[^>]*>\s*([^<]*?)\s*</")

mimetypes.add_type("application/x-netcdf", ".nc")
mimetypes.add_type("application/metalink4+xml", ".meta4")


class NodeApp:
    """One service of one node.

    Parameters
    ----------
    wps : WSGI application
        Answers everything but the outputs.
    service : str
        Its name in the log.
    outputs : pathlib.Path
        Directory served below ``/outputs/``: status documents and outputs.
    log : pathlib.Path
        Where each request is written, before it is answered.
    raw_headers : callable
        Returns the headers of the request in hand as they came, since WSGI
        joins those of one name.
    """

    def __init__(
        self,
        wps: WSGIApplication,
        *,
        service: str,
        outputs: Path,
        log: Path,
        raw_headers: Callable[[], list[tuple[str, str]]],
    ) -> None:
        self._wps = wps
        self._service = service
        self._outputs = outputs.resolve()
        self._log = log
        self._raw_headers = raw_headers

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Log the request and answer it."""
        path: str = environ["PATH_INFO"]
        if path == READY_PATH:
            start_response("204 No Content", [])
            return []
        self._note(environ, path)
        if path != "/outputs" and not path.startswith("/outputs/"):
            return self._wps(environ, start_response)
        try:
            answer = self._output(environ, path.removeprefix("/outputs").lstrip("/"))
        except HTTPException as error:
            return error(environ, start_response)
        return answer(environ, start_response)

    def _output(self, environ: WSGIEnvironment, name: str) -> WSGIApplication:
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            raise MethodNotAllowed(["GET", "HEAD"])
        found = safe_join(str(self._outputs), name)
        if found is None:
            raise NotFound
        try:
            path = Path(found).resolve()
        except ValueError:  # a NUL in it
            raise NotFound from None
        if not path.is_relative_to(self._outputs) or not path.is_file():
            raise NotFound
        return send_file(path, environ, conditional=True, etag=True)

    def _note(self, environ: WSGIEnvironment, path: str) -> None:
        operation, identifier = self._operation(environ, path)
        journal.append(
            self._log,
            {
                "time": time.time(),
                "service": self._service,
                "method": environ["REQUEST_METHOD"],
                "path": path,
                "query": environ.get("QUERY_STRING", ""),
                "headers": self._raw_headers(),
                "operation": operation,
                "identifier": identifier,
            },
        )

    def _operation(self, environ: WSGIEnvironment, path: str) -> tuple[str, str | None]:
        if path.startswith("/outputs/"):
            return ("status" if path.count("/") == 2 and path.endswith(".xml") else "output"), None
        if environ["REQUEST_METHOD"] != "POST":
            query = {key.lower(): value for key, value in parse_qsl(environ["QUERY_STRING"])}
            return _CANONICAL.get(query.get("request", "").lower(), ""), query.get("identifier")
        head = environ["wsgi.input"].read(_HEAD)
        environ["wsgi.input"] = io.BufferedReader(_Replay(head, environ["wsgi.input"]))
        root = _ROOT.search(head)
        if root:
            identifier = _IDENTIFIER.search(head)
            return root[1].decode(), identifier[1].decode(
                "utf-8", "replace"
            ) if identifier else None
        if b"json" in environ.get("CONTENT_TYPE", "").encode():
            try:
                document = json.loads(head)
                return "Execute", str(document["identifier"])
            except (ValueError, KeyError, TypeError):
                return "", None
        return "", None


_CANONICAL = {name.lower(): name for name in ("GetCapabilities", "DescribeProcess", "Execute")}


class _Replay(io.RawIOBase):
    """A body whose beginning was read already."""

    def __init__(self, head: bytes, rest: Any) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = len(buffer)
        data, self._head = self._head[:size], self._head[size:]
        if not data:
            data = self._rest.read(size)
        buffer[: len(data)] = data
        return len(data)
