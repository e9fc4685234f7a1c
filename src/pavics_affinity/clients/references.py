"""Inputs that are outputs of earlier steps, as URLs that a service can fetch.

A service that fetches a reference sends no machineid. Through a proxy it may reach another
node than the one that has the file, and PyWPS takes that node's 404 page for data. So a
reference is sent only as a URL that leads to the right node by itself; where there is none,
it is refused, or its content is embedded in the request, if the workflow allows that. The
same holds for the URLs in a text that is sent along: a list in JSON, a metalink. Escapes of
JSON and XML are read, and text in base64; compressed and binary content is not.

It is one module because each form of input asks the same: does this URL lead to the node?
"""

from __future__ import annotations

import base64
import copy
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from owslib.wps import ComplexDataInput, is_complexdata

from ..errors import InvalidRequest, ReferenceRefused
from ..warn import warn
from .embedding import Attached, Embedded, attach
from .http.sending import REMEDIES
from .outputs.boxes import Box
from .outputs.metalink import is_metalink
from .outputs.output import Output
from .outputs.resource import HasOutputs
from .wps.execution import Execution

if TYPE_CHECKING:
    from ..transport import AffinitySession
    from .wps.descriptions import Description, InputRule


# A list's comma ends a URL here: what comes after it is left as it is in any case.
# So does the next URL, which may be in the query of the first.
_URL = (
    r"(?i)https?://(?:[^\s/@\"'<>\\]*@)?(?:\[[0-9a-f:.]+\])?"
    r"(?:(?!https?://)[^\s\"'<>\\,;|()\[\]{}])*"
)
_QUOTED_URL = r"(?ai)https?%3A%2F%2F[\w.~%-]+"
_WHOLE_URL = r"(?i)(?:https?:)?//\S+"
#: Characters as JSON and XML may write them: ``\/``, ``\u002f``, ``&#47;``, ``&#x2f;``.
_ESCAPE = r"(?i)\\+(?:(/)|u00([2-7][0-9a-f]))|&#(?:x0*([2-7][0-9a-f])|0*([1-9][0-9]{1,2}));"


#: One of these is in every URL, also in an escaped or quoted one.
_IN_A_URL = r"[:/%\\&]"


def resolve(
    session: AffinitySession,
    inputs: Iterable[tuple[str, Any]],
    described: Description | None = None,
) -> list[tuple[str, Any]]:
    """Return inputs in which outputs of earlier steps are what the service can fetch.

    A value may be an `Output`, an execution that has one output, the result of a birdy
    process that has one, or the URL of an output, alone or in a ``ComplexDataInput``. What
    refers to nothing stays as it is. `ReferenceRefused` is raised if the service might
    fetch an input from the wrong node.
    """
    rules = {} if described is None else described.inputs
    resolved = []
    for name, value in inputs:
        rule = rules.get(name)
        sent = as_input(session, name, value, rule)
        if rule is not None and rule.kind == "complex" and _whole_url(sent) == sent:
            sent = ComplexDataInput(sent)  # OWSLib would send the URL as text
        resolved.append((name, sent))
    return resolved


def resolve_json(session: AffinitySession, inputs: Any, name: str = "") -> Any:
    """Return inputs of an OGC API process, as `resolve`; dicts and lists are gone through.

    Outputs become links, ``{"href": url}``, or values where the service sent them along.
    """
    value = single(inputs, name)
    what = f"input {name!r}"
    if isinstance(value, Output):
        return _as_json_value(session, value, name)
    if isinstance(value, str):
        return _of_text(session, value, what)
    if isinstance(value, Mapping):
        href = _whole_url(value.get("href"))
        if href is not None:
            others = {k: v for k, v in value.items() if k not in ("href", "type")}
            others = resolve_json(session, others, name)
            return _as_link(session, href, what, value.get("type"), others)
        if _is_base64(value.get("encoding")) and isinstance(value.get("value"), str):
            return {**value, "value": _of_base64(session, value["value"], what)}
        return {
            _of_text(session, key, what) if isinstance(key, str) else key: resolve_json(
                session, item, name or str(key)
            )
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [resolve_json(session, item, name) for item in value]
    return value


def hand_on(session: AffinitySession, url: str, what: str) -> str:
    """Return a URL from which a service gets the file of the workflow's node.

    It stays as it is if it names a node, or is of data that belongs to no node; else it is
    the node's own, or one of the proxy's that holds the routing key. `ReferenceRefused` is
    raised if there is none.
    """
    found = _leading(session, url)
    if found is None:
        _refuse(session, _misled(session, url, what), url)
    return found or url


def _leading(session: AffinitySession, url: str) -> str | None:
    """Return a URL from which a service gets the file of the workflow's node, or None."""
    pin = session.pin
    if pin.node_of_url(url) is None and not pin.is_local(url):
        return url
    return pin.link(url, ask_node=pin.route_policy != "proxy")


def _misled(session: AffinitySession, url: str, what: str) -> str:
    node = f"node {session.node!r}" if session.node else "the workflow's node"
    return (
        f"{what} is {url}: the file is on {node} and, as far as is known, nowhere else. A service "
        "that fetches it sends no machineid, so the proxy may send it to any node, and it may take "
        f"that node's 404 page for data. {REMEDIES}; or {_to_embed(session, url)}. If every node "
        "has this file, give a topology that states where the services' outputs are"
    )


def _to_embed(session: AffinitySession, url: str) -> str:
    """Say how the content of a URL would be sent instead of the URL."""
    if not session.pin.in_scope(url):
        host = urlsplit(url).hostname
        return (
            f"call .add_scope({host!r}) if that host belongs to the site, so that its content is "
            "sent"
        )
    if session.embed_limit:
        return "pass the output alone to a complex input, so that its content is sent"
    return (
        "make the workflow without embed_limit=0, so that the content of an output that is a "
        "whole complex input is sent"
    )


def _leading_or_attached(
    session: AffinitySession,
    url: str,
    what: str,
    rule: InputRule | None = None,
    media_type: str | None = None,
    owner: AffinitySession | None = None,
) -> str | Attached:
    """Return a URL that leads to the file by itself, else the file's content.

    `owner` is the workflow whose node has the file, if it is another one.
    """
    owner = owner or session
    if not session.embed_limit or not owner.pin.in_scope(url):
        return hand_on(owner, url, what)
    found = _leading(owner, url)
    if found is not None:
        return found
    sent = attach(owner, url, what, rule, media_type, limit=session.embed_limit)
    sent.content = _of_content(owner, sent.content, what)  # what it lists has to lead there, too
    return sent


def _refuse(session: AffinitySession, message: str, url: str | None) -> None:
    if session.pin.strict:
        raise ReferenceRefused(message, about=session, url=url)
    warn(message)


def single(value: Any, name: str) -> Any:
    """Return the one output of an execution or of a birdy result; other values as they are."""
    if isinstance(value, Execution):
        if value.status is None or not value.isComplete():
            raise InvalidRequest(
                f"input {name!r} is {value!r}, which has not ended: call .wait() first",
                input=name,
            )
        return _only({str(o.identifier): o for o in value.wait().processOutputs}, name)
    if isinstance(value, HasOutputs):
        return _only(value.outputs(), name)
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _only(value._asdict(), name)
    return value


def _only(outputs: Mapping[str, Any], name: str) -> Any:
    if len(outputs) == 1:
        return next(iter(outputs.values()))
    listed = ", ".join(outputs) or "none"
    raise InvalidRequest(
        f"input {name!r} is the result of a process that has {len(outputs)} outputs ({listed}); "
        "pass one of them",
        input=name,
    )


def as_input(session: AffinitySession, name: Any, value: Any, rule: InputRule | None) -> Any:
    """Return one input as `resolve` does."""
    what = f"input {name!r}"
    value = single(value, name)
    if isinstance(value, Output):
        return _of_output(session, value, what, rule)
    if isinstance(value, str):
        url = _whole_url(value) if rule is not None and rule.kind == "complex" else None
        sent = None if url is None else _leading_or_attached(session, url, what, rule)
        if isinstance(sent, Attached):
            return sent
        return _of_text(session, value, what)
    if is_complexdata(value) and not isinstance(value, Embedded):
        return _of_complex(session, value, what, rule)
    return value


def _of_complex(session: AffinitySession, value: Any, what: str, rule: InputRule | None) -> Any:
    """Return an input object of OWSLib's, or one that leads to the node or has the content."""
    whole = _whole_url(getattr(value, "value", None))
    if whole is not None:
        sent = _leading_or_attached(session, whole, what, rule, value.mimeType)
        if isinstance(sent, Attached):
            return sent
    for name in ("value", "url"):  # a request to a WFS has the second
        given = getattr(value, name, None)
        if not isinstance(given, str | bytes):
            continue
        text = given.decode("latin-1") if isinstance(given, bytes) else given
        embedded = _is_base64(getattr(value, "encoding", None)) and ":" not in text
        handed = (_of_base64 if embedded else _of_text)(session, text, what)
        if handed != text:
            value = copy.copy(value)
            setattr(value, name, handed)
    return value


def _is_base64(encoding: object) -> bool:
    return isinstance(encoding, str) and encoding.strip().lower() == "base64"


def _of_base64(session: AffinitySession, value: str, what: str) -> str:
    """Pass on the URLs in a text in base64; other content is left as it is."""
    try:
        content = base64.b64decode(value)
    except ValueError:
        return value
    handed = _of_content(session, content, what)
    return value if handed is content else base64.b64encode(handed).decode()


def _of_content(session: AffinitySession, content: bytes, what: str) -> bytes:
    """Pass on the URLs in content that is text; other content is left as it is."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return content
    handed = text if "\0" in text else _of_text(session, text, what)
    return content if handed == text else handed.encode()


def _whole_url(text: object) -> str | None:
    """Return the URL that a text is; None if it is not one."""
    whole = text.strip() if isinstance(text, str) else ""
    if not re.fullmatch(_WHOLE_URL, whole):
        return None
    return f"http:{whole}" if whole.startswith("/") else whole


def _of_text(session: AffinitySession, value: str, what: str) -> str:
    """Pass on the URL that a text is, or those that it names."""
    if not re.search(_IN_A_URL, value):
        return value
    handed = cache(partial(hand_on, session, what=what))  # a document has some of them often
    url = _whole_url(value)
    if url is not None:
        value = value.strip()
        if handed(url) != url:
            return handed(url)
    value = _of_urls(handed, value)
    plain = _unescaped(value)
    found = plain if plain == value else _of_urls(handed, plain)
    return value if found == plain else found


def _of_urls(handed: Callable[[str], str], text: str) -> str:
    text = re.sub(_URL, lambda found: handed(found[0]), text)
    return re.sub(_QUOTED_URL, lambda found: _handed_quoted(handed, found[0]), text)


def _handed_quoted(handed: Callable[[str], str], quoted: str) -> str:
    url = unquote(quoted)
    found = handed(url)
    return quoted if found == url else quote(found, safe="")


def _unescaped(text: str) -> str:
    """Write out characters that JSON and XML may escape and need not."""
    return re.sub(_ESCAPE, _character, text) if "\\" in text or "&#" in text else text


def _character(escape: re.Match[str]) -> str:
    slash, in_json, in_hex, in_decimal = escape.groups()
    code = int(in_decimal) if in_decimal else int(in_json or in_hex or "2f", 16)
    character = chr(code)
    return character if slash or (32 < code < 127 and character not in "\"'<>&\\") else escape[0]


def _of_output(session: AffinitySession, output: Output, what: str, rule: InputRule | None) -> Any:
    kind = None if rule is None else rule.kind
    box = output._as_box()
    if box is None and kind == "bbox" and "json" in (output.mimeType or ""):
        box = Box.of_json(output.json())
    if box is not None and kind in (None, "bbox", ""):
        _warn_of_axes(output.session, box, what)
        return box.as_input()
    complex_ = kind == "complex"
    # A type that the process does not list would be refused; without one it takes its default.
    mimetype = output.mimeType if rule is not None and output.mimeType in rule.formats else None
    if output.reference is not None:
        listed = _rewritten_metalink(output, what)
        if listed is not None and complex_:
            return Embedded(listed, mimeType=mimetype)
        if listed is not None:
            message = (
                f"{what} is {output.reference}: a metalink, whose files the service would ask the "
                "proxy for, without a machineid. Pass its files instead: output.files()"
            )
            _refuse(output.session, message, output.reference)
        url = output._url(what)
        if kind == "literal":
            return hand_on(output.session, url, what)
        sent = _leading_or_attached(session, url, what, rule, output.mimeType, owner=output.session)
        if isinstance(sent, Attached) or not complex_:
            return sent
        return ComplexDataInput(sent, mimeType=mimetype)
    if complex_ and _is_base64(output.encoding):
        text = _of_base64(output.session, _raw_text(output), what)
        return Embedded(text, mimeType=mimetype, encoding="base64")
    text = _of_text(output.session, output.text(), what)
    return Embedded(text, mimeType=mimetype) if complex_ else text


def _warn_of_axes(session: AffinitySession, box: Box, what: str) -> None:
    """Say of a CRS whose first axis is north that services disagree about it."""
    if box.crs is not None and box.crs.axisorder == "yx":
        session.pin.warn_once(
            f"axes of {box.crs_name}",
            f"{what} is a bounding box in {box.crs_name!r}, whose first axis is y (north). It is "
            "sent as the earlier step wrote it. PyWPS writes x first and reads y first, so it "
            "swaps the axes of such a box. Check what arrives, or pass BoundingBoxDataInput("
            "[...], crs=...) in the order that the service reads",
        )


def _as_json_value(session: AffinitySession, output: Output, name: str) -> Any:
    what = f"input {name!r}"
    if output.reference is not None:
        listed = _rewritten_metalink(output, what)
        if listed is not None:
            return {"value": listed, "mediaType": output.mimeType}
        url = output._url(what)
        return _as_link(session, url, what, output.mimeType, {}, owner=output.session)
    box = output._as_box()
    if box is not None:
        return box.as_json()
    if "json" in (output.mimeType or ""):
        return resolve_json(output.session, output.json(), name)
    if _is_base64(output.encoding):
        content = base64.b64encode(output.read_bytes()).decode()
        content = _of_base64(output.session, content, what)
        return {"value": content, "encoding": "base64", "mediaType": output.mimeType}
    return _of_text(output.session, output.text(), what)


def _as_link(
    session: AffinitySession,
    url: str,
    what: str,
    media_type: object,
    others: Mapping[str, Any],
    owner: AffinitySession | None = None,
) -> dict[str, Any] | Attached:
    """Return a link of an OGC API, or the content that it leads to."""
    kind = media_type if isinstance(media_type, str) else None
    sent = _leading_or_attached(session, url, what, None, kind, owner=owner)
    if isinstance(sent, str):
        sent = _of_text(session, sent, what)  # its query may name a URL, too
        return {"href": sent, **({"type": media_type} if media_type else {}), **others}
    return sent


def _rewritten_metalink(output: Output, what: str) -> str | None:
    """Return a metalink with the URLs that lead to its files, or None if it is right as it is."""
    if not is_metalink(output.mimeType) or output._local_file() is not None:
        return None  # a file of this machine is not sent anywhere
    text = output.text()
    rewritten = _of_text(output.session, text, what)
    return None if rewritten == text else rewritten


def _raw_text(output: Output) -> str:
    return "".join([v.decode() if isinstance(v, bytes) else str(v) for v in output.data])
