"""birdy's converters, with all that they fetch coming from the workflow's node.

birdy takes every subclass of its `BaseConverter` for a converter of every client
in the process, so what is handed to it here only looks like one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
from ..outputs.datasets import HDF5_LOCK, open_url
from ..outputs.metalink import read_metalink
from ..outputs.output import Output, download_all

if TYPE_CHECKING:
    from ...transport import AffinitySession

_DATASETS = (Netcdf4Converter, XarrayConverter)


class Converters:
    """The converters of one client, as birdy looks for them among.

    `given` are classes; None stands for all that there are when a result is converted.
    """

    def __init__(self, session: AffinitySession, given: Sequence[Any] | None) -> None:
        self.session = session
        self._given = given

    def __iter__(self) -> Iterator[Pinned]:
        known = all_subclasses(BaseConverter) if self._given is None else self._given
        return (Pinned(kind, self) for kind in known)


class Pinned:
    """Stands for a converter class, one of a client's."""

    def __init__(self, kind: Any, all_: Converters) -> None:
        self.kind = kind
        self.all = all_
        self.mimetypes = kind.mimetypes
        self.extensions = kind.extensions
        self.priority = kind.priority

    def __call__(self, output: Any, path: str | Path, verify: bool | str = True) -> Conversion:
        """Begin a conversion; raises ImportError where the class misses a package."""
        return Conversion(self.kind, self.all, output, path, verify)


class Conversion:
    """One conversion; what it makes of several files is complete when birdy gets it."""

    nested = False

    def __init__(
        self, kind: Any, all_: Converters, output: Any, path: str | Path, verify: bool | str
    ) -> None:
        self._kind, self._all, self._path, self._verify = kind, all_, path, verify
        if isinstance(output, Output) and not (
            issubclass(kind, GenericConverter) or is_packed(output.mimeType)
        ):
            output = output._unpacked()
        self._output = output
        # A metalink is read and fetched here, whether or not birdy's own reader is installed.
        if not issubclass(kind, MetalinkConverter):
            self._converter = self._of(output)

    def convert(self) -> Any:
        """Return the object; raises the errors of `Output.download`."""
        if issubclass(self._kind, MetalinkConverter):
            fetched = download_all(self._all.session, self._linked(), self._path, progress=False)
            return self._each(file.path for file in fetched)
        if issubclass(self._kind, _DATASETS):
            return self._dataset()
        if issubclass(self._kind, ImageConverter):
            return self._of(self._file()).convert()
        found = self._converter.convert()
        if not self._kind.nested:
            return found
        files = [self._inside(name) for name in found]
        return self._each(file for file in files if not file.is_dir())

    def _dataset(self) -> Any:
        output = self._output
        if (
            issubclass(self._kind, XarrayConverter)
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
        return self._kind(source, path=self._path, verify=self._verify)

    def _each(self, files: Iterable[Path]) -> list[Any]:
        return [convert(str(file), self._path, self._all, self._verify) for file in files]

    def _inside(self, name: str | Path) -> Path:
        file = Path(name)
        if not file.resolve().is_relative_to(Path(self._path).resolve()):
            raise OutputUnavailable(
                f"{self._output!r} is an archive that names the file {str(name)!r}, outside of the "
                "directory that it was unpacked into; it was not read. "
                "Download the archive, and look into it before you unpack it"
            )
        return file

    def _linked(self) -> list[Output]:
        """Return the files of a metalink, which is an output or a file of an archive."""
        if isinstance(self._output, Output):
            return self._output.files()
        file = Path(self._output)
        try:
            listed = read_metalink(file.read_bytes())
        except (etree.XMLSyntaxError, ValueError) as error:
            raise OutputUnavailable(
                f"{file.name!r} is not a metalink: {error}. Look at what the file is: {str(file)!r}"
            ) from error
        return [
            Output(each, identifier=each.name, session=self._all.session, service="")
            for each in listed
        ]
