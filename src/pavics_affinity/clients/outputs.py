"""Outputs of a WPS execution, fetched from the node that wrote them."""

from __future__ import annotations

import base64
import binascii
import io
import os
import tempfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import urlsplit

import owslib.wps
from lxml import etree

from ..errors import OutOfScope, OutputUnavailable
from ..markup.terminal import in_terminal
from . import names, opendap
from .answers import MAX_DOCUMENT
from .datasets import open_file, scratch
from .download import Download, Source, fill, save, save_bytes
from .limits import LIMITS, read_json
from .metalink import is_metalink, references
from .transfer import Expected
from .urls import same_host, web_url

if TYPE_CHECKING:
    import xarray
    from rich.console import RenderableType

    from ..transport import AffinitySession

#: `Output.json` and `Output.text` hold it in memory, and refuse what is larger.
MAX_IN_MEMORY = 256 * 2**20

_SUFFIXES = {
    "application/json": ".json",
    "application/geo+json": ".geojson",
    "application/x-netcdf": ".nc",
    "application/netcdf": ".nc",
    "application/zip": ".zip",
    "image/tiff": ".tif",
    "image/png": ".png",
    "text/csv": ".csv",
    "text/html": ".html",
    "text/plain": ".txt",
    "text/xml": ".xml",
}


class Output(owslib.wps.Output):
    """One output of an execution, as OWSLib has it, and what is behind its reference.

    Parameters
    ----------
    element : lxml.etree._Element
        The ``Output`` element of the response.
    session : AffinitySession
        Fetches it.
    service : str
        URL of the service.
    expected : Expected, optional
        What a metalink says that it is.

    Attributes
    ----------
    identifier, title, abstract, mimeType, dataType : str or None
        As the response has them.
    reference : str or None
        URL of the output; None for one that the response holds itself.
    data : list
        The values that the response holds, as OWSLib has them.
    encoding : str or None
        ``"base64"``, say, of a value or a file.
    """

    def __init__(
        self,
        element: etree._Element,
        *,
        session: AffinitySession,
        service: str,
        expected: Expected | None = None,
    ) -> None:
        super().__init__(element)
        self._expected = expected or Expected()
        self.session = session
        self.service = service
        self.encoding = next(
            (e.get("encoding") for e in element.iter("{*}Reference", "{*}ComplexData")), None
        )

    def __repr__(self) -> str:
        where = self.reference or f"{len(self.data)} values"
        return f"<{type(self).__name__} {self._name}: {where}>"

    def _repr_html_(self) -> str:
        from .shown import show_output

        return show_output(self)

    def __rich__(self) -> RenderableType:
        return in_terminal(self._repr_html_())

    # ---- what it holds ----

    def read_bytes(self) -> bytes:
        """Return the content, fetched or as the response holds it, base64 decoded.

        Raises
        ------
        OutputUnavailable
            Its URL answers with an error.
        DownloadFailed
            It broke off too often, or is larger than 256 MB.
        """
        return self._content()[0]

    def text(self) -> str:
        """Return the content as text.

        Raises
        ------
        OutputUnavailable
            Its URL answers with an error, or with something that is no text.
        DownloadFailed
            It broke off too often, or is larger than 256 MB.
        """
        content, charset = self._content()
        try:
            return content.decode(charset or "utf-8-sig")
        except (ValueError, LookupError) as error:  # a charset may be anything
            raise self._unusable("text", content, error) from error

    def json(self) -> Any:
        """Return the value of JSON content.

        Raises
        ------
        OutputUnavailable
            Its URL answers with an error, or with something that is no JSON.
        DownloadFailed
            It broke off too often, or is larger than 256 MB.
        """
        text = self.text()
        try:
            return read_json(text, most=LIMITS.data)
        except ValueError as error:
            raise self._unusable("JSON", text.encode(), error) from error

    def open(self) -> BinaryIO:
        """Return the content as a binary file to read from, seekable and whole.

        It is fetched into a temporary file, which ends when it is closed.

        Raises
        ------
        OutputUnavailable, DownloadFailed
            As `download` has it.
        """
        if self.reference is None:
            return io.BytesIO(self._embedded())
        file = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115 - it is handed over
        try:
            fill(self._source(), file)
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return file

    def download(
        self, path: str | os.PathLike[str] | None = None, progress: bool | None = None
    ) -> Download:
        """Write the content to a file, whole or not at all.

        A connection that breaks is taken up where it broke.

        Parameters
        ----------
        path : path, optional
            The file, or a directory, in which it gets the name that the server
            gives it, cleaned. By default the working directory.
        progress : bool, optional
            Show a progress bar; by default in a notebook only.

        Returns
        -------
        Download
            It stands for the file's path.

        Raises
        ------
        OutputUnavailable
            Its URL answers with an error: very likely the files are on another node.
        DownloadFailed
            It broke off too often, or could not be written; nothing is left behind.
        OutOfScope
            The reference is no http or https URL.
        """
        if self.reference is not None:
            return save(self._source(), path, name=self._default_name, progress=progress)
        return save_bytes(self._embedded(), path, name=self._default_name, node=self.session.node)

    def open_dataset(self, **options: Any) -> xarray.Dataset:
        """Open the content with xarray.

        An OPeNDAP resource is read over the workflow's session, as its values are
        looked at, while the workflow is open. Anything else is downloaded; the file
        ends when the dataset is closed, and with Python at the latest.

        Parameters
        ----------
        **options
            Those of `xarray.open_dataset`.

        Raises
        ------
        MissingExtra
            xarray is not installed, or pydap for an OPeNDAP resource.
        OutputUnavailable, DownloadFailed
            As `download` has it.
        """
        if opendap.is_opendap(self):
            return opendap.open_url(self, **options)
        name = names.from_url(self.reference or "") or self._default_name
        return open_file(self.download(scratch(name)).path, **options)

    def files(self) -> list[Output]:
        """Return the files that a metalink lists, each as an output of its own.

        Versions 3 and 4 of metalink are read; where they state size and checksum,
        a file that is another raises `DownloadFailed` when it is fetched. An output
        that is no metalink is the one file that it is.

        Raises
        ------
        OutputUnavailable
            The metalink cannot be fetched or read.
        """
        if not is_metalink(self.mimeType):
            return [self]
        content, _ = self._content(MAX_DOCUMENT)
        try:
            listed = references(content)
        except (etree.XMLSyntaxError, ValueError) as error:
            raise self._unusable("metalink", content, error) from error
        base = self._url() if self.reference is not None else self.service
        return [
            Output(file.as_output(), session=self.session, service=base, expected=file.expected)
            for file in listed
        ]

    # ---- OWSLib's own ----

    def retrieveData(  # noqa: N802 - OWSLib's name
        self,
        username: str | None = None,
        password: str | None = None,
        headers: Mapping[str, str] | None = None,
        verify: bool | str = True,
        cert: Any = None,
    ) -> bytes:
        """Return what the reference holds, or ``b""`` where there is none.

        Parameters
        ----------
        username, password, headers, verify, cert
            In addition to those of the service's client, which apply where the
            reference has the service's own origin.

        Raises
        ------
        OutputUnavailable
            Its URL answers with an error.
        OutOfScope
            The reference is no http or https URL, or these credentials were to
            go to another host than the service's.
        """
        if self.reference is None:
            return b""
        source = self._source(username, password, headers, verify, cert)
        self.fileName = self._file_name()
        file = io.BytesIO()
        fill(source, file)
        return file.getvalue()

    def writeToDisk(  # noqa: N802 - OWSLib's name
        self,
        path: str | os.PathLike[str] | None = None,
        username: str | None = None,
        password: str | None = None,
        headers: Mapping[str, str] | None = None,
        verify: bool | str = True,
        cert: Any = None,
    ) -> None:
        """Write the content to a file; `filePath` then tells where it is.

        Parameters
        ----------
        path : path, optional
            The file, or a directory, in which it gets the name that the server
            gives it, cleaned. By default the working directory.
        username, password, headers, verify, cert
            As `retrieveData` takes them.

        Raises
        ------
        OutputUnavailable, DownloadFailed, OutOfScope
            As `download` has it.
        """
        if self.reference is None:
            done = self.download(path)
        else:
            source = self._source(username, password, headers, verify, cert)
            done = save(source, path, name=self._default_name)
        self.fileName = done.path.name
        self.filePath = str(done.path)

    # ---- how ----

    @property
    def _name(self) -> str:
        return str(getattr(self, "identifier", None) or "output")

    @property
    def _default_name(self) -> str:
        kind = (self.mimeType or "").split(";")[0].strip().lower()
        return (names.clean(self._name) or "output") + _SUFFIXES.get(kind, "")

    def _file_name(self) -> str:
        return names.from_url(self.reference or "") or self._default_name

    def _url(self) -> str:
        return web_url(self.reference or "", base=self.service, what=f"output {self._name!r}")

    def _source(
        self,
        username: str | None = None,
        password: str | None = None,
        headers: Mapping[str, str] | None = None,
        verify: bool | str = True,
        cert: Any = None,
    ) -> Source:
        url = self._url()
        options: dict[str, Any] = {}
        if username is not None and password is not None:
            options["auth"] = (username, password)
        if headers:
            options["headers"] = dict(headers)
        if cert is not None:
            options["cert"] = cert
        if options and not same_host(url, self.service):
            raise OutOfScope(
                f"output {self._name!r} is at {url}, another host than the service's "
                f"({self.service}); credentials and headers are not sent there. Leave them out",
                url=url,
            )
        if verify is not True:  # OWSLib's default: what the client was given
            options["verify"] = verify
        pin = self.session.pin
        if pin.route(url).route == "outside":
            pin.warn_once(
                f"output outside {urlsplit(url).netloc}",
                f"output {self._name!r} is at {url}, which belongs to no known service: it is "
                "fetched without the machineid. If that host is the site's own, name its outputs "
                "in the topology",
            )
        return Source(self.session, url, f"output {self._name!r}", options, self._expected)

    def _content(self, limit: int | None = None) -> tuple[bytes, str | None]:
        if self.reference is None:
            return self._embedded(), None
        file = io.BytesIO()
        charset = fill(self._source(), file, limit=limit or MAX_IN_MEMORY)
        return file.getvalue(), charset

    def _embedded(self) -> bytes:
        content = b"".join(
            value if isinstance(value, bytes) else _text_of(value).encode() for value in self.data
        )
        if (self.encoding or "").lower() != "base64":
            return content
        try:
            return base64.b64decode(content)
        except binascii.Error as error:
            raise self._unusable("base64", content, error) from error

    def _unusable(self, wanted: str, content: bytes, error: Exception) -> OutputUnavailable:
        where = f" at {self.reference}" if self.reference else ""
        return OutputUnavailable(
            f"output {self._name!r}{where} is no {wanted} ({error}): "
            f"{len(content)} bytes that start with {content[:60]!r}",
            url=self.reference,
            machineid=self.session.machineid,
            node=self.session.node,
        )


def _text_of(value: Any) -> str:
    if isinstance(value, str):
        return value
    # an ows:BoundingBox, the only other value that OWSLib makes
    return f"{value.minx},{value.miny},{value.maxx},{value.maxy}"
