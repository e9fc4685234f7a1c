"""Inputs that are outputs of earlier steps, in the form in which a service can fetch them.

A service that fetches a reference sends no machineid. Through a proxy it may so
reach another node than the one that has the file, and PyWPS takes that node's
404 page for data. So a reference leaves here only as a URL that leads to the
right node by itself; where there is none, it is refused. The same holds for the
URLs inside of a text that is sent along: a list in JSON, a metalink.
"""

from __future__ import annotations

import base64
import copy
import re
from collections.abc import Iterator, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from owslib.wps import ComplexDataInput, is_complexdata

from ..errors import InvalidRequest, ReferenceRefused
from ..pin.links import link
from ..warn import warn
from .execution import Execution
from .jobs import Job
from .metalink import is_metalink
from .outputs import Output
from .results import Results
from .urls import web_url

if TYPE_CHECKING:
    from ..transport import AffinitySession
    from .descriptions import Description, InputRule


# A list's comma ends a URL here: what comes after it is left as it is in any case.
_URL = re.compile(r"https?://[^\s\"'<>\\,;|()\[\]{}]+", re.IGNORECASE)


class Embedded(ComplexDataInput):
    """A complex input whose value is content, also where it looks like a URL to OWSLib."""

    def getXml(self) -> Any:  # noqa: N802 - OWSLib's name
        """Return the ``Data`` element."""
        return self.complexDataRaw()


def resolve(session: AffinitySession, inputs: Any, described: Description | None = None) -> Any:
    """Put inputs that refer to earlier outputs into the form that the service can use.

    Parameters
    ----------
    session : AffinitySession
        The workflow's.
    inputs : iterable of (str, value) or mapping
        As `WebProcessingService.execute` takes them. A value may be an `Output`,
        an execution that has one output, the result of a birdy process that has
        one, or the URL of an output, alone or in a ``ComplexDataInput``.
    described : Description, optional
        Tells which inputs are complex.

    Returns
    -------
    list of (str, value)
        What refers to nothing is as it was; so is the whole, if it holds no pairs.

    Raises
    ------
    ReferenceRefused
        The service could not be sure to fetch an input from the right node.
    InvalidRequest
        An execution was given that has not ended, or has not exactly one output.
    """
    pairs = inputs.items() if isinstance(inputs, Mapping) else inputs
    try:
        listed = [(name, value) for name, value in pairs]
    except (TypeError, ValueError):
        return inputs  # refused, in better words, by who builds the request
    rules = {} if described is None else described.inputs
    return [(name, as_input(session, name, value, rules.get(name))) for name, value in listed]


def resolve_json(session: AffinitySession, inputs: Any, name: str = "") -> Any:
    """Put references among the inputs of an OGC API process into the form that it can use.

    Parameters
    ----------
    session : AffinitySession
        The workflow's.
    inputs : object
        What is to be sent as JSON: dicts and lists are gone through. A value may
        be as for `resolve`, or a link, ``{"href": url}``.
    name : str
        Of the input, for messages.

    Returns
    -------
    object
        The same, with outputs as links, or as values where they were sent along.

    Raises
    ------
    ReferenceRefused, InvalidRequest
        As `resolve`.
    """
    value = single(inputs, name)
    what = f"input {name!r}"
    if isinstance(value, Output):
        return _as_json_value(value, name)
    if isinstance(value, str):
        return _of_text(session, value, what)
    if isinstance(value, Mapping):
        return {key: resolve_json(session, item, name or str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [resolve_json(session, item, name) for item in value]
    return value


def hand_on(session: AffinitySession, url: str, what: str) -> str:
    """Return a URL from which a service gets the file of the workflow's node.

    Parameters
    ----------
    session : AffinitySession
        Of the workflow that the file belongs to.
    url : str
        The file's.
    what : str
        What it is, for messages: ``"input 'resource'"``.

    Returns
    -------
    str
        The URL as it is, if it names a node or is of data that does not belong to
        a node; else the node's own, or one of the proxy's that holds the routing
        key.

    Raises
    ------
    ReferenceRefused
        There is no such URL.
    """
    pin = session.pin
    if not pin.is_local(url):
        return url
    found = link(pin, url, ask_node=pin.route_policy != "proxy")
    if found is not None:
        return found
    node = f"node {session.node!r}" if session.node else "the workflow's node"
    message = (
        f"{what} is {url}: the file is on {node} only, and a service that fetches it sends no "
        "machineid, so the proxy would lead it to any node, and it may take that node's 404 page "
        "for data. Give the workflow a topology that has the nodes' addresses or a strict proxy; "
        "or pass the file itself: ComplexDataInput(output.text()), or the file:// path if the "
        "process gives one"
    )
    _refuse(session, message, url)
    return url


def _refuse(session: AffinitySession, message: str, url: str | None) -> None:
    if session.pin.strict:
        raise ReferenceRefused(
            f"{message}. Nothing was executed",
            machineid=session.machineid,
            node=session.node,
            url=url,
        )
    warn(message)


def single(value: Any, name: str) -> Any:
    """Return the one output of an execution or of a birdy result; other values as they are.

    Raises
    ------
    InvalidRequest
        The execution has not ended, or has not exactly one output.
    ExecutionFailed
        It failed.
    """
    if isinstance(value, Execution):
        if value.status is None or not value.isComplete():
            raise InvalidRequest(
                f"input {name!r} is {value!r}, which has not ended: call .wait() first. "
                "Nothing was executed",
                input=name,
            )
        return _only({str(o.identifier): o for o in value.wait().processOutputs}, name)
    if isinstance(value, Job | Results):
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
        "pass the one that is meant. Nothing was executed",
        input=name,
    )


def as_input(session: AffinitySession, name: Any, value: Any, rule: InputRule | None) -> Any:
    """Return one input as `resolve` does."""
    what = f"input {name!r}"
    value = single(value, name)
    if isinstance(value, Output):
        return _of_output(value, what, rule)
    if isinstance(value, str):
        return _of_text(session, value, what)
    if is_complexdata(value) and isinstance(getattr(value, "value", None), str):
        url = value.value if isinstance(value, Embedded) else _of_text(session, value.value, what)
        if url != value.value:
            value = copy.copy(value)
            value.value = url
    return value


def _of_text(session: AffinitySession, value: str, what: str) -> str:
    """Hand on the URL that a text is, or those that it names."""
    if "://" not in value:
        return value
    text = value.strip()
    if re.match(r"https?:\S+$", text, re.IGNORECASE) and text.count("://") == 1:
        return hand_on(session, text, what)
    handed = cache(partial(hand_on, session, what=what))  # a document has some of them often
    return _URL.sub(lambda found: handed(found[0]), value)


def _of_output(output: Output, what: str, rule: InputRule | None) -> Any:
    complex_ = rule is not None and rule.kind == "complex"
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
        url = hand_on(output.session, _url_of(output, what), what)
        return ComplexDataInput(url, mimeType=mimetype) if complex_ else url
    if complex_ and (output.encoding or "").lower() == "base64":
        return Embedded("".join(_texts(output)), mimeType=mimetype, encoding="base64")
    text = _of_text(output.session, output.text(), what)
    return Embedded(text, mimeType=mimetype) if complex_ else text


def _as_json_value(output: Output, name: str) -> Any:
    what = f"input {name!r}"
    if output.reference is not None:
        listed = _rewritten_metalink(output, what)
        if listed is not None:
            return {"value": listed, "mediaType": output.mimeType}
        href = hand_on(output.session, _url_of(output, what), what)
        return {"href": href, "type": output.mimeType} if output.mimeType else {"href": href}
    if "json" in (output.mimeType or ""):
        return resolve_json(output.session, output.json(), name)
    if (output.encoding or "").lower() == "base64":
        content = base64.b64encode(output.read_bytes()).decode()
        return {"value": content, "encoding": "base64", "mediaType": output.mimeType}
    return _of_text(output.session, output.text(), what)


def _url_of(output: Output, what: str) -> str:
    return web_url(output.reference or "", base=output.service, what=what)


def _rewritten_metalink(output: Output, what: str) -> str | None:
    """Return a metalink with the URLs that lead to its files, or None if it is right as it is."""
    if not is_metalink(output.mimeType):
        return None
    text = output.text()
    rewritten = _of_text(output.session, text, what)
    return None if rewritten == text else rewritten


def _texts(output: Output) -> Iterator[str]:
    for value in output.data:
        yield value.decode() if isinstance(value, bytes) else str(value)
