"""YAML documents, in which some servers describe their processes, within the limits of all."""

from __future__ import annotations

from typing import Any

import yaml

from ..limits import LIMITS, check_depth


def read_yaml(document: bytes) -> Any:
    """Return the value of a YAML document.

    Raise ValueError if it is not YAML, or has more values or levels than the limits.
    """
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        for number, _ in enumerate(yaml.parse(document, loader)):
            if number > LIMITS.nodes:
                raise ValueError(f"it has more than {LIMITS.nodes:,} values")
        made = loader(document)
        node = made.get_single_node()
        if _written_out(node, {}) > LIMITS.nodes:
            raise ValueError(f"its aliases stand for more than {LIMITS.nodes:,} values")
        value = None if node is None else made.construct_document(node)
    except (yaml.YAMLError, RecursionError, AttributeError, TypeError, OverflowError) as error:
        raise ValueError(f"it is not YAML that can be read: {str(error)[:200]}") from error
    check_depth(value)
    return value


def _written_out(node: Any, known: dict[int, float]) -> float:
    """Return how many nodes there are if each alias is written out; infinite for a cycle."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in known:
        known[id(node)] = float("inf")
        inner = node.value
        if isinstance(node, yaml.MappingNode):
            inner = [each for pair in node.value for each in pair]
        known[id(node)] = 1 + sum(_written_out(each, known) for each in inner)
    return known[id(node)]
