"""An output's content in the request itself, where no URL leads a service to it.

PyWPS sends no header when it fetches a reference, so behind a plain proxy it cannot be sent to
the node that has the file. The content can: it is fetched here, over the pinned session, and put
into the request as text or in base64.
"""

from __future__ import annotations

import base64
import codecs
import io
import json
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from owslib.wps import ComplexData, ComplexDataInput

from ..errors import ReferenceRefused
from ..protocol import has_key
from ..topology.urls import shown
from .http.sending import REMEDIES
from .http.urls import web_url
from .outputs.resource import Resource
from .outputs.transfer import Remote, Transfer

if TYPE_CHECKING:
    import requests

    from ..transport import AffinitySession
    from .wps.descriptions import InputRule

_PIECE = 3 * 2**18
"""Bytes that are encoded at a time: a multiple of 3, so that base64 has no padding inside."""

_CHANGED = "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufeff\ufffe\uffff]"
"""Characters that XML cannot hold, or that a reader may change."""

_TEXTUAL = ("text/", "application/json", "application/xml", "application/geo+json")


class Embedded(ComplexDataInput):
    """A complex input whose value is content, also where it looks like a URL to OWSLib."""

    is_content = True

    def getXml(self) -> Any:  # noqa: N802 - OWSLib's name
        """Return the ``Data`` element."""
        return self.complexDataRaw()


class Attached(Embedded):
    """The content of an output, in a media type of the input or, with None, in its default."""

    def __init__(self, content: bytes, mimetype: str | None, *, is_text: bool) -> None:
        ComplexData.__init__(self, mimeType=mimetype, encoding=None if is_text else "base64")
        self.content = content

    @property
    def value(self) -> str:
        """The content as it is in the request."""
        return "".join(self.pieces())

    def in_json(self, large: dict[bytes, Iterable[bytes]]) -> dict[str, str]:
        """Return the content as an input of an OGC API - Processes (OGC 18-062r2, 7.11).

        A mark stands for it; `large` receives what `with_large` puts there.
        """
        mark = new_mark()
        large[mark.encode()] = (json.dumps(piece)[1:-1].encode() for piece in self.pieces())
        stated = {"encoding": self.encoding, "mediaType": self.mimeType}
        return {"value": mark, **{name: text for name, text in stated.items() if text}}

    def pieces(self) -> Iterator[str]:
        """Yield what `value` is, piece by piece, so that it is not held as a whole."""
        if self.encoding is None:
            return _decoded(self.content)
        return (base64.b64encode(piece).decode() for piece in _pieces(self.content))


def new_mark() -> str:
    """Return a text that stands for content in a document until `with_large`."""
    return f"upload-{secrets.token_hex(16)}"


def with_large(document: bytes, large: Mapping[bytes, Iterable[bytes]]) -> bytes:
    """Return a document with the pieces of each content, escaped, instead of its mark."""
    if not large:
        return document
    whole = io.BytesIO()  # a join would hold each content twice
    for mark, pieces in large.items():
        before, _, document = document.partition(mark)
        whole.write(before)
        for piece in pieces:
            whole.write(piece)
    whole.write(document)
    return whole.getvalue()


class _Own(Remote):
    """An output whose content is sent to a service.

    It must come from a host of the workflow's. A document that named a host of the user's own
    network would otherwise have it read, and its content sent to the author of that document.
    """

    def get(self, headers: Mapping[str, str]) -> requests.Response:
        """Ask for it, and refuse what comes from another host after a redirect."""
        response = super().get(headers)
        if not self.session.pin.in_scope(response.url):
            response.close()
            raise self.error(
                ReferenceRefused,
                f"redirects to {shown(response.url)}, a host out of scope, whose content is not "
                "sent to a service. Nothing was executed. If the host belongs to the site, call "
                ".add_scope(host) first",
                response=response,
            )
        return response


class _Checked(io.BytesIO):
    """Takes a piece after a check of the size that it leads to."""

    def __init__(self, check: Callable[[int], None]) -> None:
        super().__init__()
        self._check = check

    def write(self, piece: Any) -> int:
        self._check(self.tell() + len(piece))
        return super().write(piece)


def attach(
    session: AffinitySession,
    url: str,
    what: str,
    rule: InputRule | None,
    media_type: str | None,
    *,
    limit: int,
) -> Attached:
    """Fetch an output over its workflow's session, to send it as an input.

    `rule` has the formats and the size that the input takes, `media_type` is the output's, if it
    is known. ReferenceRefused is raised if it is larger than `limit` or than the input takes.
    """
    who = "the workflow's embed_limit"
    if rule is not None and rule.megabytes is not None:
        most = int(rule.megabytes * 2**20), "the process, by maximumMegabytes"
        limit, who = min((limit, who), most)

    def check(size: int) -> None:
        if size > limit:
            raise ReferenceRefused(
                f"{what} is {url}: no URL leads the service to the node that has the file, and "
                f"its content, {size} bytes or more, is larger than the {limit} bytes that may be "
                f"embedded in a request ({who}). Nothing was executed. {REMEDIES}",
                about=session,
                url=url,
            )

    transfer = Transfer(_Own(session, Resource(web_url(url, base=url, what=what)), what))
    with transfer.open() as first:
        check(transfer.total or 0)
        file = _Checked(check)
        transfer.run(first, file, lambda position, words: None)
    content, stated = file.getvalue(), first.headers.get("Content-Type", "")
    kinds = [kind for kind in (_plain(media_type), _plain(stated)) if kind]
    if rule is None:
        mimetype = next(iter(kinds), None)
    else:
        offered = (f for kind in kinds for f in rule.formats if _plain(f) == kind)
        mimetype = next(offered, None)
    is_text = _is_text(content, mimetype or media_type or stated)
    return Attached(content, mimetype, is_text=is_text)


def _plain(media_type: str | None) -> str:
    return (media_type or "").partition(";")[0].strip().lower()


def _is_text(content: bytes, media_type: str) -> bool:
    """Return whether a request can contain content unchanged, and a parser returns the same."""
    plain = _plain(media_type)
    if not (plain.startswith(_TEXTUAL) or plain.endswith(("+xml", "+json"))):
        return False
    try:
        if any(re.search(_CHANGED, piece) for piece in _decoded(content)):
            return False
    except UnicodeDecodeError:
        return False
    first, last = (end.decode(errors="ignore") for end in (content[:4], content[-4:]))
    return first.lstrip() == first and last.rstrip() == last  # what is at the ends may be lost


def _pieces(content: bytes) -> Iterator[bytes]:
    """Yield content piece by piece: as a whole it would be held several times."""
    return (content[start : start + _PIECE] for start in range(0, len(content), _PIECE))


def _decoded(content: bytes) -> Iterator[str]:
    return codecs.iterdecode(_pieces(content), "utf-8")


def forms(session: AffinitySession, inputs: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """Return in which form each input that is an output is sent: for the step's record."""
    found = {name: _form(session, value) for name, value in inputs}
    return {name: form for name, form in found.items() if form}


def _form(session: AffinitySession, value: Any) -> str | None:
    if isinstance(value, Attached):
        return "content"
    if isinstance(value, list):  # of links; content counts, because it may be too large
        found = [form for item in value if (form := _form(session, item))]
        return "content" if "content" in found else next(iter(found), None)
    if isinstance(value, dict):
        value = value.get("href")
    url = getattr(value, "value", value)
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        return None
    match = session.pin.peek(url)
    if match is not None and match.at_node:
        return "node's URL"
    return "link" if has_key(url) else "URL"
