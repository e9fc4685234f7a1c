"""The scripts of README and of the manual's first page run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_first_script_runs_as_it_stands(cluster, page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    [code] = re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text("utf-8"), re.M | re.S)
    for port, service in {58091: "malleefowl", 58093: "flyingpigeon"}.items():
        code = code.replace(f"http://proxy.example:{port}/wps", cluster.url(service))
    exec(code, {"url": cluster.sample_url})
    assert Path("subset.nc").read_bytes()[1:4] in {b"HDF", b"DF\x01", b"DF\x02"}
