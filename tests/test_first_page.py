"""The scripts of README and of the manual's first page run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def scripts(page):
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text("utf-8"), re.M | re.S)


@pytest.mark.parametrize(
    ("page", "script"), [("README.md", 0), ("docs/index.md", 0), ("docs/index.md", 1)]
)
def test_a_first_script_runs_as_it_stands(cluster, page, script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = scripts(page)[script]
    for port, service in {58091: "malleefowl", 58093: "flyingpigeon"}.items():
        code = code.replace(f"http://proxy.example:{port}/wps", cluster.url(service))
    exec(code, {"url": cluster.sample_url})
    [written] = Path().glob("*.nc")
    assert written.read_bytes()[1:4] in {b"HDF", b"DF\x01", b"DF\x02"}
