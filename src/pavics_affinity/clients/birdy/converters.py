"""birdy's converters, with all that they fetch coming from the workflow's node.

birdy takes every subclass of its `BaseConverter` for a converter of every client
in the process, so what is handed to it here only looks like one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from birdy.client.converters import (
    BaseConverter,
    GenericConverter,
    ImageConverter,
    MetalinkConverter,
    Netcdf4Converter,
    XarrayConverter,
    all_subclasses,
    convert,
)
from lxml import etree

from ...errors import OutputUnavailable
from ..outputs.codings import is_packed
from ..outputs.datasets import HDF5_LOCK
from ..outputs.metalink import read_metalink
from ..outputs.opendap import open_url
from ..outputs.output import Output, download_all
from ..outputs.resource import Resource

if TYPE_CHECKING:
    from ...transport import AffinitySession

_DATASETS = (Netcdf4Converter, XarrayConverter)


class Converters:
    """The converters of one client, as birdy looks for them among.

    Parameters
    ----------
    session : AffinitySession
        Fetches.
    given : sequence of classes, optional
        By default all that there are when a result is converted, as with birdy.
    """

    def __init__(self, session: AffinitySession, given: Sequence[Any] | None) -> None:
        self.session = session
        self._given = given

    def __iter__(self) -> Iterator[Pinned]:
        known = all_subclasses(BaseConverter) if self._given is None else self._given
        return (Pinned(kind, self) for kind in known)


class Pinned:
    """Stands for a converter class.

    Parameters
    ----------
    kind : type
        The class.
    all_ : Converters
        What it is one of; for the files that it unpacks.
    """

    def __init__(self, kind: Any, all_: Converters) -> None:
        self.kind = kind
        self.all = all_
        self.mimetypes = kind.mimetypes
        self.extensions = kind.extensions
        self.priority = kind.priority

    def __call__(
        self, output: Any, path: str | Path, verify: bool | str = True
    ) -> Conversion | LinkedFiles:
        """Begin a conversion; raises ImportError where the class misses a package."""
        if issubclass(self.kind, MetalinkConverter):
            # Read and fetched here, whether or not birdy's own reader is installed.
            return LinkedFiles(self.all, output, path, verify)
        return Conversion(self, output, path, verify)


class Conversion:
    """One conversion; what it makes of several files is complete when birdy gets it."""

    nested = False

    def __init__(self, pinned: Pinned, output: Any, path: str | Path, verify: bool | str) -> None:
        self._pinned = pinned
        if isinstance(output, Output) and not (
            issubclass(pinned.kind, GenericConverter) or is_packed(output.mimeType)
        ):
            output = output._unpacked()
        self._output, self._path, self._verify = output, path, verify
        self._converter = pinned.kind(output, path=path, verify=verify)

    def convert(self) -> Any:
        """Return the object.

        Raises
        ------
        OutputUnavailable
            The file cannot be fetched, or is an archive that names one outside of itself.
        """
        kind = self._pinned.kind
        if issubclass(kind, _DATASETS):
            return self._dataset(kind)
        if issubclass(kind, ImageConverter):
            return self._of(self._file()).convert()
        found = self._converter.convert()
        if not kind.nested:
            return found
        files = [self._inside(file) for file in found]
        return [
            convert(str(file), self._path, self._pinned.all, self._verify)
            for file in files
            if not file.is_dir()
        ]

    def _dataset(self, kind: Any) -> Any:
        output = self._output
        if (
            issubclass(kind, XarrayConverter)
            and isinstance(output, Output)
            and output._is_opendap()
        ):
            return open_url(output.session, output._url())
        converter = self._of(self._file())
        with HDF5_LOCK:
            return converter.convert()

    def _file(self) -> Any:
        """Return a file on disk: of a URL, these classes would fetch by themselves."""
        if not isinstance(self._output, Output) or self._output.reference is None:
            return self._output
        return str(self._output.download(self._path).path)

    def _of(self, source: Any) -> Any:
        return self._pinned.kind(source, path=self._path, verify=self._verify)

    def _inside(self, name: str | Path) -> Path:
        file = Path(name)
        if not file.resolve().is_relative_to(Path(self._path).resolve()):
            raise OutputUnavailable(
                f"{self._output!r} is an archive that names the file {str(name)!r}, outside of the "
                "directory that it was unpacked into; it was not read. "
                "Download the archive, and look into it before you unpack it"
            )
        return file


class LinkedFiles:
    """The conversion of a metalink: its files are fetched, and each is converted."""

    nested = False

    def __init__(self, all_: Converters, output: Any, path: str | Path, verify: bool | str) -> None:
        self._all, self._output, self._path, self._verify = all_, output, path, verify

    def convert(self) -> list[Any]:
        """Return the objects.

        Raises
        ------
        OutputUnavailable, DownloadFailed
            The metalink cannot be read, or one of its files not be fetched.
        """
        session = self._all.session
        if isinstance(self._output, Output):
            files = self._output.files()
        else:
            listed = self._read(Path(self._output))
            files = [
                Output(file, identifier=file.name, session=session, service="") for file in listed
            ]
        fetched = download_all(session, files, self._path, progress=False)
        return [convert(str(f.path), self._path, self._all, self._verify) for f in fetched]

    def _read(self, file: Path) -> list[Resource]:
        try:
            return read_metalink(file.read_bytes())
        except (etree.XMLSyntaxError, ValueError) as error:
            raise OutputUnavailable(
                f"{file.name!r} is not a metalink: {error}. Look at what the file is: {str(file)!r}"
            ) from error
