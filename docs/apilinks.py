"""Links of the API reference: our names to their public pages, others to their projects' manuals.

Docstrings name types as people say them ("str or path", "list of Output"). Each word that is a
type becomes a link here, without a network: a build that asked other sites for their inventories
would fail with them. A type that is not known here is a warning, so `make docs` fails.
"""

from __future__ import annotations

import builtins
import inspect
import re
from importlib import import_module
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

PUBLIC = {
    "pavics_affinity": (
        *import_module("pavics_affinity").__all__,
        *("Box", "Download", "Execution", "GdalEnv", "Job", "Output", "Processes", "Results"),
        "WPSClient",
    ),
    "pavics_affinity.batch": ("ChainRun", "WorkflowResult", "WorkflowResults"),
    "pavics_affinity.placement": ("Placement", "key_for", "nginx_placement", "steer"),
    "pavics_affinity.record": ("Record", "Request", "Step", "Total"),
    "pavics_affinity.testing": import_module("pavics_affinity.testing").__all__,
    "pavics_affinity.topology": ("Outputs", "Tls"),
    "pavics_affinity.transport": ("AffinitySession",),
    "pavics_affinity.errors": [
        name
        for name, thing in vars(import_module("pavics_affinity.errors")).items()
        if inspect.isclass(thing) and thing.__module__ == "pavics_affinity.errors"
    ],
}

_PYTHON = "https://docs.python.org/3/"
_TYPES = f"{_PYTHON}library/stdtypes.html#"
_FUNCTIONS = f"{_PYTHON}library/functions.html#"
_GLOSSARY = f"{_PYTHON}glossary.html#term-"
_EXCEPTIONS = f"{_PYTHON}library/exceptions.html#"
_REQUESTS = "https://requests.readthedocs.io/en/latest/"
_OWSLIB = "https://owslib.readthedocs.io/en/latest/"

ELSEWHERE = {
    **{name: _TYPES + name for name in ("bytes", "dict", "frozenset", "list", "str", "tuple")},
    **{name: _FUNCTIONS + name for name in ("bool", "float", "int", "object", "type")},
    **{name: _GLOSSARY + name for name in ("callable", "iterable", "mapping", "sequence")},
    **{
        name: _EXCEPTIONS + name
        for name, thing in vars(builtins).items()
        if inspect.isclass(thing) and issubclass(thing, BaseException)
    },
    "None": f"{_PYTHON}library/constants.html#None",
    "collection": f"{_PYTHON}library/collections.abc.html#collections.abc.Collection",
    "concurrent.futures.Executor": (
        f"{_PYTHON}library/concurrent.futures.html#concurrent.futures.Executor"
    ),
    "datetime": f"{_PYTHON}library/datetime.html#datetime.datetime",
    "path": f"{_GLOSSARY}path-like-object",
    "pathlib.Path": f"{_PYTHON}library/pathlib.html#pathlib.Path",
    "timedelta": f"{_PYTHON}library/datetime.html#datetime.timedelta",
    "matplotlib.axes.Axes": "https://matplotlib.org/stable/api/_as_gen/matplotlib.axes.Axes.html",
    "requests auth": f"{_REQUESTS}user/authentication/",
    "requests.Session": f"{_REQUESTS}api/#requests.Session",
    "xarray.Dataset": "https://docs.xarray.dev/en/stable/generated/xarray.Dataset.html",
}
"""What our docstrings call a type, and where it is described."""

WORDS = frozenset({"several", "value", "optional", "it", "classes"})
"""Words that are written where a type is, and are not types."""

UNLINKED = frozenset({"Resource", "Steps"})
"""Types of ours that users never name; those of the packages below have no stable address."""

NO_MANUAL = ("owslib.", "birdy.", "lxml.")


def _paths() -> dict[str, str]:
    """Return the documented path of each public name, by the name and by where it is defined."""
    found = {}
    for module, names in PUBLIC.items():
        for name in names:
            thing = getattr(import_module(module), name)
            path = f"{module}.{name}"
            found.setdefault(name, path)
            found[f"{thing.__module__}.{thing.__qualname__}"] = path
    return found


PATHS = _paths()


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: nodes.Element
) -> nodes.Node | None:
    """Link a name that Sphinx does not find as it is in the docstring."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    if target in ELSEWHERE:
        return nodes.reference("", "", shown, internal=False, refuri=ELSEWHERE[target])
    head, dot, member = target.partition(".")
    path = PATHS.get(target) or (PATHS[head] + dot + member if head in PATHS else None)
    if path is not None:
        return env.domains["py"].resolve_xref(
            env, node["refdoc"], app.builder, "obj", path, node, shown
        )
    if node["reftype"] in ("class", "exc") and shown.astext() == target:
        return _not_a_type(target, node)
    return None


def _not_a_type(target: str, node: pending_xref) -> nodes.Node:
    """Show a word as text; warn if it looks like a type."""
    known = target in WORDS | UNLINKED or target.startswith(NO_MANUAL)
    if target.replace(".", "").isidentifier() and not known:
        logging.getLogger(__name__).warning(
            "the type %r has no link: add it to docs/apilinks.py", target, location=node
        )
    return nodes.inline(target, target)


_SEVERAL = re.compile(r"([\w.]+(?:, [\w.]+)+)( : .+)?")


def one_by_one(
    app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """Write names that share a line as one each.

    napoleon would take the first of several attributes for a type, and drop all but the first of
    several errors.
    """
    starts = [number for number, line in enumerate(lines) if line in ("Attributes", "Raises")]
    if not starts:
        return
    start = starts[0]
    written = lines[:start]
    rest = iter(lines[start:])
    line = next(rest, None)
    while line is not None:
        found = _SEVERAL.fullmatch(line)
        block = [line]
        line = next(rest, None)
        while found and line is not None and line.startswith(" "):
            block.append(line)
            line = next(rest, None)
        for each in found[1].split(", ") if found else ():
            written += [each + (found[2] or ""), *block[1:]]
        written += [] if found else block
    lines[:] = written


def public_bases(app: Sphinx, name: str, thing: Any, options: Any, bases: list[Any]) -> None:
    """Leave our internal base classes out of what a class derives from."""
    bases[:] = [
        base
        for base in bases
        if not getattr(base, "__module__", "").startswith("pavics_affinity")
        or f"{base.__module__}.{base.__qualname__}" in PATHS
    ] or [object]


def without_object(app: Sphinx, tree: nodes.document) -> None:
    """Remove the line that says that a class derives from nothing."""
    for line in list(tree.findall(nodes.paragraph)):
        if line.astext() == "Bases: object":
            line.parent.remove(line)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect these to Sphinx."""
    app.connect("missing-reference", resolve)
    app.connect("autodoc-process-docstring", one_by_one, priority=400)  # before napoleon
    app.connect("autodoc-process-bases", public_bases)
    app.connect("doctree-read", without_object)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
