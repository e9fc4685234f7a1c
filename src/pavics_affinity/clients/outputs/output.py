"""Outputs of a WPS execution, fetched from the node that wrote them."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, Self, cast
from urllib.parse import urlsplit

import owslib.wps
from lxml import etree

from ...errors import OutOfScope, OutputUnavailable
from ...markup import without_login
from ...markup.shown import ShownAsCard
from ..http import xml
from ..http.answers import MAX_DOCUMENT
from ..http.urls import same_host, web_url
from ..limits import LIMITS, read_json
from . import names, opendap
from .boxes import Box, box_element
from .datasets import open_file, scratch
from .download import Download, Source, fill, save, save_bytes, stated_charset
from .embedded import content_of
from .local import LocalFile, local_path
from .metalink import File, is_metalink, references
from .transfer import Expected

if TYPE_CHECKING:
    import xarray

    from ...markup.cards import Card
    from ...transport import AffinitySession

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


class _Held:
    """What an output keeps for itself: `vars` of it shows what OWSLib's has."""

    __slots__ = ("_element", "_own", "_unpack")

    _element: etree._Element
    _own: bool
    _unpack: bool


class Output(ShownAsCard, owslib.wps.Output, _Held):
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
    own : bool
        The service's own response names it: it may then be a file of this machine,
        if the service runs here, and it is never at the URL of the service.

    Attributes
    ----------
    identifier, title, abstract, mimeType, dataType : str or None
        As the response has them.
    reference : str or None
        URL of the output; None for one that the response holds itself.
    data : list
        The values that the response holds, as OWSLib has them: text without the
        white space at its ends. `text` and `read_bytes` return it whole.
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
        own: bool = False,
    ) -> None:
        self.reference: str | None
        self.identifier = self.title = None  # OWSLib sets what there is
        super().__init__(element)
        self._element = element
        self._expected = expected or Expected()
        self._own = own
        self._unpack = False
        self.session = session
        self.service = service
        self.encoding = next(
            (e.get("encoding") for e in element.iter("{*}Reference", "{*}ComplexData")), None
        )
        if self.reference is None and element.find("{*}Reference") is not None:
            self.reference = ""  # which names no place
        if self._box_element is not None:
            self.dataType, self.data = "BoundingBoxData", []
            with contextlib.suppress(ValueError):  # raised when its content is asked for
                self.data = [Box.of(self._box_element)]

    def __getstate__(self) -> dict[str, Any]:
        element = etree.tostring(self._element, with_tail=False)
        return {**vars(self), "_element": element, "_own": self._own, "_unpack": self._unpack}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, xml.parse(value, own=True) if name == "_element" else value)

    def __repr__(self) -> str:
        where = without_login(self.reference or "") or f"{len(self.data)} values"
        return f"<{type(self).__name__} {self._name}: {where}>"

    def _card(self) -> Card:
        from ..shown import show_output

        return show_output(self)

    # ---- what it holds ----

    def read_bytes(self) -> bytes:
        """Return the content, fetched or as the response holds it, base64 decoded.

        A file that is stored packed, as ``a.nc.gz``, is returned as it is stored. Of a
        bounding box it is what `text` returns.

        Raises
        ------
        OutputUnavailable
            Its URL answers with an error.
        DownloadFailed
            It broke off too often, or is larger than 256 MB.
        """
        return self._content()[0]

    def text(self) -> str:
        """Return the content as text, unpacked where its server says that it is packed.

        A bounding box is the numbers of its lower and upper corner, in the document's
        order, between commas; its CRS is in ``output.data[0].crs_name``.

        Raises
        ------
        OutputUnavailable
            Its URL answers with an error, or with something that is no text.
        DownloadFailed
            It broke off too often, or is larger than 256 MB.
        """
        content, charset = self._unpacked()._content()
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
            return io.BytesIO(self._held())
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

        A connection that breaks is taken up where it broke. A file that is stored
        packed, as ``a.nc.gz``, is written as it is stored. One that a service on this
        machine names by its path, ``file:///...``, is copied.

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
        return save_bytes(self._held(), path, name=self._default_name, node=self.session.node)

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
        return open_file(self._unpacked().download(scratch(name)).path, **options)

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
        content, _ = self._unpacked()._content(MAX_DOCUMENT)
        listed: list[File] = []
        unusable: OutputUnavailable | None = None
        try:
            listed = references(content.strip())
        except (etree.XMLSyntaxError, ValueError) as error:
            unusable = self._unusable("metalink", content, error)
        if unusable is not None:  # raised here: lxml's error as its cause could not be pickled
            raise unusable
        local = None if self.reference is None else self._local_file()
        base = self.service if self.reference is None or local else self._url()
        files = [
            Output(
                (file if local is None else file.below(local.url)).as_output(),
                session=self.session,
                service=base,
                expected=file.expected,
                own=local is not None,
            )
            for file in listed
        ]
        for file in files:
            file.note_place()
        return files

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
            if not self.data:
                self._held()  # which raises if there is nothing to be had
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

    def note_place(self) -> None:
        """Learn where a document puts the file, at a host that may be told the machineid."""
        with contextlib.suppress(OutOfScope, OutputUnavailable):  # raised when it is asked for
            if self.session.pin.in_scope(self._url()):
                self.session.pin.note_place(self._url())

    def _unpacked(self) -> Self:
        """Return the same output, fetched without any coding that its server states."""
        result = type(self).__new__(type(self))
        result.__dict__.update(vars(self))
        result._element, result._own, result._unpack = self._element, self._own, True
        return result

    def _as_box(self) -> Box | None:
        """Return the bounding box that it is, or None.

        Raises
        ------
        OutputUnavailable
            It is one that cannot be read.
        """
        if self._box_element is None:
            return None
        self._held()  # which raises an error of ours
        return Box.of(self._box_element)

    @property
    def _box_element(self) -> etree._Element | None:
        data = self._element.find("{*}Data")
        return None if data is None else box_element(data)

    @property
    def _name(self) -> str:
        return str(getattr(self, "identifier", None) or "output")

    @property
    def _default_name(self) -> str:
        kind = (self.mimeType or "").split(";")[0].strip().lower()
        given = names.clean(self._element.get("fileName") or "")
        return given or (names.clean(self._name) or "output") + _SUFFIXES.get(kind, "")

    def _file_name(self) -> str:
        return names.from_url(self.reference or "") or self._default_name

    def _url(self, what: str | None = None) -> str:
        """Return the absolute URL of its reference; `what` is what an error calls it.

        Raises
        ------
        OutOfScope
            It is no http or https URL.
        OutputUnavailable
            It names no place of its own.
        """
        what = what or f"output {self._name!r}"
        url = web_url(self.reference or "", base=self.service, what=what)
        stated = "" if self._own else self.reference or ""
        if names_no_place(stated, url, self.service):
            raise OutputUnavailable(
                f"{what} has the reference {self.reference!r}, which names no place: it leads to "
                f"{self.service}, the document or service that names it. Nothing was fetched. Very "
                "likely the process has not made this output; ask the service's operator",
                url=self.reference,
                machineid=self.session.machineid,
                node=self.session.node,
            )
        return url

    def _local_file(self) -> LocalFile | None:
        """Return the file of this machine that it is, or None if it is to be fetched."""
        reference = self.reference or ""
        path = local_path(reference, service=self.service) if self._own else None
        if path is None:
            return None
        label = f"output {self._name!r}"
        return LocalFile(self.session, reference, path, label, self._expected)

    def _source(
        self,
        username: str | None = None,
        password: str | None = None,
        headers: Mapping[str, str] | None = None,
        verify: bool | str = True,
        cert: Any = None,
    ) -> Source | LocalFile:
        local = self._local_file()
        if local is not None:
            return local
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
        return Source(
            self.session,
            url,
            f"output {self._name!r}",
            options,
            self._expected,
            service=self.service,
            name=self._name,
            kind=self.mimeType,
            unpack=self._unpack,
        )

    def _content(self, limit: int | None = None) -> tuple[bytes, str | None]:
        if self.reference is None:
            packed = (self.encoding or "").strip().lower() == "base64"
            stated = {"content-type": self.mimeType or ""}
            return self._held(), stated_charset(stated) if packed else None
        file = io.BytesIO()
        charset = fill(self._source(), file, limit=limit or MAX_IN_MEMORY)
        return file.getvalue(), charset

    def _held(self) -> bytes:
        """Return what the response holds."""
        try:
            return content_of(self._element)
        except ValueError as error:
            raise OutputUnavailable(
                f"output {self._name!r} cannot be read from the response: {error}. Look at the "
                "status message of the execution, or ask the service's operator",
                url=None,
                machineid=self.session.machineid,
                node=self.session.node,
            ) from error

    def _unusable(self, wanted: str, content: bytes, error: Exception) -> OutputUnavailable:
        where = f" at {self.reference}" if self.reference else ""
        return OutputUnavailable(
            f"output {self._name!r}{where} is no {wanted} ({error}): "
            f"{len(content)} bytes that start with {content[:60]!r}",
            url=self.reference,
            machineid=self.session.machineid,
            node=self.session.node,
        )


def names_no_place(reference: str, url: str, document: str) -> bool:
    """Tell whether a reference leads back to the document that names it, or to the bare service.

    One that spells the document's address out may mean it; an empty one never does.
    """
    if urlsplit(reference.strip()).netloc:
        return False
    one, other = urlsplit(url), urlsplit(document)
    return (
        (one.scheme, one.netloc.lower(), one.path.rstrip("/"))
        == (other.scheme, other.netloc.lower(), other.path.rstrip("/"))
    ) and one.query in ("", other.query)
