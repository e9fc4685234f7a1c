"""Placements that were recorded through real nginx."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
EXTRACT = HERE / "data" / "nginx_placements.json"


def files() -> list[Path]:
    """The extract in this repository, and the full list where it is at hand."""
    given = os.environ.get("PAVICS_AFFINITY_VECTORS")
    full = (
        Path(given) if given else HERE.parents[2] / "shared" / "vectors" / "nginx_placements.json"
    )
    if given and not full.exists():
        raise FileNotFoundError(f"PAVICS_AFFINITY_VECTORS names {given}, which does not exist")
    return [EXTRACT, full] if full.exists() else [EXTRACT]


def load() -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{path.parent.name}/{entry['name']}", entry)
        for path in files()
        for entry in json.loads(path.read_text(encoding="utf-8"))
    ]
