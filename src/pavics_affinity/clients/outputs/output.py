"""Outputs of an execution, fetched from the node that wrote them.

An `Output` is a `Resource` with what OWSLib's users expect of one, and with what reads it:
`download` writes files, `datasets` opens datasets, `metalink` lists files. The
module is long because a user sees one class, documented for the API reference.
"""

from __future__ import annotations

import contextlib
import copy
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, Self, cast
from urllib.parse import urljoin, urlsplit

import owslib.wps
from lxml import etree

from ...brief import brief
from ...errors import InvalidRequest, OutOfScope, OutputUnavailable
from ...markup import clean, without_login
from ...markup.shown import ShownAsCard
from ..http.answers import MAX_DOCUMENT
from ..http.urls import same_host, web_url
from ..limits import LIMITS, read_json
from . import names
from .boxes import Box
from .download import Download, save, save_all
from .local import LocalFile, local_path
from .metalink import is_metalink, read_metalink
from .resource import Held, Resource, Source, plain_type
from .transfer import Remote

if TYPE_CHECKING:
    import xarray

    from ...display.results import Result
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

#: How files of netCDF 3 and of HDF5, which is netCDF 4, begin.
_NETCDF = (b"CDF\x01", b"CDF\x02", b"CDF\x05", b"\x89HDF\r\n\x1a\n")


class Output(ShownAsCard, owslib.wps.Output):
    """One output of an execution, with OWSLib's attributes and methods, and ways to read it.

    Made by executions, jobs and results.

    Attributes
    ----------
    identifier, title, abstract, mimeType, dataType : str or None
        As the response states them.
    reference : str or None
        URL of the output; None for one that the response holds itself.
    data : list
        The values that the response holds, as OWSLib returns them: text without the
        white space at its ends. `text` and `read_bytes` return it whole.
    encoding : str or None
        ``"base64"``, say, of a value or a file.
    """

    def __init__(
        self,
        resource: Resource,
        *,
        session: AffinitySession,
        service: str,
        identifier: str | None = None,
        element: etree._Element | None = None,
        own: bool = False,
        files: Sequence[Output] | None = None,
    ) -> None:
        self.reference: str | None
        self.dataType: str | None
        self.data: list[Any]
        self.identifier: str | None = identifier
        self.title: str | None = identifier
        # OWSLib sets its attributes; of an empty element to what they are where nothing is stated.
        super().__init__(etree.Element("Output") if element is None else element)
        self.session = session
        self.service = service  # its URL, or that of the document that names the output
        self.encoding = resource.encoding
        self.reference = resource.url
        self._resource = resource
        # The service's own response names it: it may then be a file of this machine, if the
        # service runs here, and it is never at the URL of the service.
        self._own = own
        self._files = files  # that it lists
        self._unpack = False
        if resource.data_type == "BoundingBoxData":
            self.dataType = resource.data_type
            self.data = [resource.box] if resource.box is not None else []
        elif element is None:
            self.mimeType = resource.media_type
            self.dataType = resource.data_type
            text = (resource.content or b"").decode().strip()
            self.data = [text] if text else []

    @classmethod
    def of_element(cls, element: etree._Element, *, session: AffinitySession, service: str) -> Self:
        """Make an output of the ``Output`` element of a WPS response."""
        resource = Resource.of_element(element)
        return cls(resource, element=element, session=session, service=service, own=True)

    def __repr__(self) -> str:
        where = without_login(self.reference or "") or f"{len(self.data)} values"
        return f"<{type(self).__name__} {clean(self._name)}: {where}>"

    def _card(self) -> Card:
        from ...display.results import result_card

        return result_card(self._shown(), self.session.pin.shown_link)

    def _shown(self) -> Result:
        from ..shown import result_of

        kind = self.mimeType or self.dataType
        return result_of(self._name, self.title, kind, self.reference, self.service, self.data)

    # ---- read it ----

    @brief
    def read_bytes(self) -> bytes:
        """Return the content, fetched or as the response holds it, base64 decoded.

        A file that is stored packed, as ``a.nc.gz``, is returned as it is stored. For a
        bounding box it is what `text` returns. Raises the errors of `download`, also for
        more than 256 MB.
        """
        return self._source().read(MAX_IN_MEMORY)[0]

    @brief
    def text(self) -> str:
        """Return the content as text, unpacked where its server says that it is packed.

        A bounding box is the numbers of its lower and upper corner, in the document's
        order, between commas; its CRS is in ``output.data[0].crs_name``. Raises the errors
        of `download`, also for content that is not text, and for more than 256 MB.
        """
        content, charset = self._unpacked()._source().read(MAX_IN_MEMORY)
        try:
            return content.decode(charset or "utf-8-sig")
        except (ValueError, LookupError) as error:  # a charset may be anything
            raise self._unusable("text", content, error) from error

    @brief
    def json(self) -> Any:
        """Return the value of JSON content.

        Raises the errors of `download`, also for content that is not JSON, and for more than
        256 MB.
        """
        text = self.text()
        try:
            return read_json(text, most=LIMITS.data)
        except ValueError as error:
            raise self._unusable("JSON", text.encode(), error) from error

    @brief
    def open(self) -> BinaryIO:
        """Return the content as a binary file to read from, seekable and whole.

        It is fetched into a temporary file, which is removed when it is closed. Raises the
        errors of `download`.
        """
        file = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115 - it is handed over
        try:
            self._source().fill(file)
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return file

    @brief
    def download(
        self, path: str | os.PathLike[str] | None = None, progress: bool | None = None
    ) -> Download:
        """Write the content to a file, whole or not at all.

        A download whose connection breaks is resumed. A file that is stored packed, as
        ``a.nc.gz``, is written as it is stored. One that a service on this machine names
        by its path, ``file:///...``, is copied.

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
            It broke off too often, or could not be written. No file is left.
        OutOfScope
            The reference is not an http or https URL.
        """
        return save(self._source(), path, name=self._file_name(), progress=progress)

    @brief
    def open_dataset(self, **options: Any) -> xarray.Dataset:
        """Open the content with xarray.

        The values of an OPeNDAP resource are read over the workflow's session, when they
        are looked at, while the workflow is open. Anything else is downloaded; the file
        is removed when the dataset is closed, and when Python ends at the latest.

        Parameters
        ----------
        **options
            Those of `xarray.open_dataset`.

        Raises
        ------
        MissingExtra
            xarray is not installed, or pydap for an OPeNDAP resource.
        OutputUnavailable, DownloadFailed, OutOfScope
            See `download`.
        """
        from .datasets import open_file, open_url, scratch

        if self._is_opendap():
            return open_url(self.session, self._url(), **options)
        return open_file(self._unpacked().download(scratch(self._file_name())).path, **options)

    def files(self) -> list[Output]:
        """Return the files that a metalink, or an array of links, lists, each as an output.

        Versions 3 and 4 of metalink are read. If they state size and checksum, a file that
        differs raises `DownloadFailed` when it is fetched. Any other output is returned as
        the one file that it is. Raises the errors of `download`, also for a metalink that
        cannot be read.
        """
        if self._files is not None:
            return list(self._files)
        if not is_metalink(self.mimeType):
            return [self]
        content, _ = self._unpacked()._source().read(MAX_DOCUMENT)
        try:
            listed = read_metalink(content.strip())
        except (etree.XMLSyntaxError, ValueError) as error:
            raise self._unusable("a metalink", content, error) from error
        local = self._local_file()
        if local is not None:  # it may name local files, and relative to its own path
            listed = [file._replace(url=urljoin(local.url, file.url or "")) for file in listed]
        base = self.service if self.reference is None or local else self._url()
        files = [
            Output(file, identifier=file.name, session=self.session, service=base, own=bool(local))
            for file in listed
        ]
        for file in files:  # learn where they are, at a host that may receive the machineid
            with contextlib.suppress(OutOfScope, OutputUnavailable):  # raised when it is asked for
                if self.session.pin.in_scope(file._url()):
                    self.session.pin.note_place(file._url())
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
        """Return what the reference holds, or ``b""`` if there is no reference.

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
            The reference is not an http or https URL, or these credentials were to
            go to another host than the service's.
        """
        if self.reference is None:
            if not self.data:
                self.read_bytes()  # raises if there is nothing to be had
            return b""
        source = self._source(username, password, headers, verify, cert)
        self.fileName = self._file_name()
        return source.read()[0]

    def writeToDisk(  # noqa: N802 - OWSLib's name
        self,
        path: str | os.PathLike[str] | None = None,
        username: str | None = None,
        password: str | None = None,
        headers: Mapping[str, str] | None = None,
        verify: bool | str = True,
        cert: Any = None,
    ) -> None:
        """Write the content to a file, and set `filePath` to its path.

        Parameters
        ----------
        path : path, optional
            The file, or a directory, in which it gets the name that the server
            gives it, cleaned. By default the working directory.
        username, password, headers, verify, cert
            See `retrieveData`.

        Raises
        ------
        OutputUnavailable, DownloadFailed, OutOfScope
            See `download`.
        """
        source = self._source(username, password, headers, verify, cert)
        done = save(source, path, name=self._file_name())
        self.fileName = done.path.name
        self.filePath = str(done.path)

    # ---- where it is ----

    def _unpacked(self) -> Self:
        """Return the same output, fetched without any coding that its server states."""
        result = copy.copy(self)
        result._unpack = True
        return result

    def _as_box(self) -> Box | None:
        """Return the bounding box that it is, or None; raise OutputUnavailable for a bad one."""
        if self._resource.data_type == "BoundingBoxData":
            self.read_bytes()
        return self._resource.box

    @property
    def _name(self) -> str:
        return str(self.identifier or "output")

    @property
    def _label(self) -> str:
        return f"output {self._name!r}"

    def _file_name(self) -> str:
        """Return the clean name that its path or URL, or else its document, gives to the file."""
        local = self._local_file()  # its name may have "#" or ";", which end the path of a URL
        given = names.clean(local.path.name) if local else names.from_url(self.reference or "")
        if given:
            return given
        given = names.clean(self._resource.name)
        if PurePosixPath(given).suffix:
            return given
        suffix = _SUFFIXES.get(plain_type(self.mimeType), "")
        return (given or names.clean(self._name) or "output") + suffix

    def _url(self, what: str | None = None) -> str:
        """Return the absolute URL of its reference; `what` is what an error calls it."""
        what = what or self._label
        url = web_url(self.reference or "", base=self.service, what=what)
        stated = "" if self._own else self.reference or ""
        if names_no_place(stated, url, self.service):
            raise OutputUnavailable(
                f"{what} has the reference {self.reference!r}, which names no place: it leads to "
                f"{self.service}, the document or service that names it. Nothing was fetched. Very "
                "likely the process has not made this output; ask the service's operator",
                url=self.reference,
                about=self.session,
            )
        return url

    def _local_file(self) -> LocalFile | None:
        """Return the file of this machine that it is, or None if it is to be fetched."""
        reference = self.reference or ""
        path = local_path(reference, service=self.service) if self._own else None
        if path is None:
            return None
        resource = self._resource._replace(url=reference)
        return LocalFile(self.session, resource, self._label, path)

    def _source(
        self,
        username: str | None = None,
        password: str | None = None,
        headers: Mapping[str, str] | None = None,
        verify: bool | str = True,
        cert: Any = None,
    ) -> Source:
        """Return what reads it."""
        if self.reference is None:
            resource = self._resource._replace(media_type=self.mimeType)
            return Held(self.session, resource, self._label)
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
                f"{self._label} is at {url}, another host than the service's ({self.service}). "
                "Credentials and headers are not sent there. Leave them out",
                url=url,
            )
        if verify is not True:  # OWSLib's default: what the client was given
            options["verify"] = verify
        # OWSLib's attributes belong to the user, who may have set them.
        resource = self._resource._replace(url=url, media_type=self.mimeType, name=self._name)
        return Remote(
            self.session,
            resource,
            self._label,
            options=options,
            service=self.service,
            unpack=self._unpack,
        )

    def _is_opendap(self) -> bool:
        """Return whether it is an OPeNDAP resource, which its server is asked if need be."""
        if self.reference is None or self._local_file() is not None:
            return False
        from .datasets import is_opendap

        return is_opendap(self.session, self._url(), self.mimeType)

    def _unusable(self, wanted: str, content: bytes, error: Exception) -> OutputUnavailable:
        where = f" at {self.reference}" if self.reference else ""
        netcdf = content.startswith(_NETCDF)
        hint = "It looks like NetCDF: call .open_dataset(), or .download()"
        return OutputUnavailable(
            f"{self._label}{where} is not {wanted} ({error}): "
            f"{len(content)} bytes that start with {content[:60]!r}. "
            f"{hint if netcdf else 'Call .download() to look at it'}",
            url=self.reference,
            about=self.session,
        )


def names_no_place(reference: str, url: str, document: str) -> bool:
    """Return whether a reference leads back to the document that names it, or to the bare service.

    One that spells the document's address out may mean it; an empty one never does.
    """
    if urlsplit(reference.strip()).netloc:
        return False
    one, other = urlsplit(url), urlsplit(document)
    return (
        (one.scheme, one.netloc.lower(), one.path.rstrip("/"))
        == (other.scheme, other.netloc.lower(), other.path.rstrip("/"))
    ) and one.query in ("", other.query)


def download_all(
    session: AffinitySession,
    urls: Iterable[str | Output],
    directory: str | os.PathLike[str],
    *,
    parallel: int = 4,
    progress: bool | None = None,
) -> list[Download]:
    """Fetch files into a directory, each whole or not at all, and return them in order.

    The directory is made if it does not exist. Files get the names that their URLs give,
    cleaned. Something that is not a URL raises before anything is fetched.
    """
    if isinstance(urls, str | Output):
        urls = [urls]
    try:
        listed = list(urls)
    except TypeError:
        raise InvalidRequest(f"urls is {urls!r}; expected URLs or outputs") from None
    outputs = [output_at(session, item) for item in listed]
    wanted = [(output._file_name(), partial(output.download, progress=False)) for output in outputs]
    return save_all(wanted, directory, parallel=parallel, progress=progress)


def output_at(session: AffinitySession, url: str | Output) -> Output:
    """Return what is at a URL as an output."""
    if isinstance(url, Output):
        return url
    if not isinstance(url, str):
        raise InvalidRequest(
            f"{url!r} is a {type(url).__name__}; expected a URL or an output. Nothing was fetched"
        )
    url = web_url(url, base="", what="the file")
    session.pin.warn_if_outside(url)  # here: a thread that downloads has no line of the user's
    name = names.from_url(url) or "file"
    return Output(Resource(url, name=name), session=session, service=url, identifier=name)
