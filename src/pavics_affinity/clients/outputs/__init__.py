"""Outputs: fetched from the node that wrote them, whole or not at all."""
