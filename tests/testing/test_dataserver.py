"""The web server for data files."""

import uuid

import pytest
import requests

from pavics_affinity.testing import DataServer


def test_a_data_server_serves_and_ends(tmp_path):
    (tmp_path / "x.txt").write_text("hello")
    with DataServer(tmp_path) as server:
        token = uuid.uuid4().hex
        answer = requests.get(f"{server.url}/x.txt?q=1", headers={"X-Token": token}, timeout=30)
        assert answer.text == "hello"
        [seen] = server.requests
        assert (seen.method, seen.path, seen.values("X-TOKEN")) == ("GET", "/x.txt?q=1", [token])
    with pytest.raises(requests.ConnectionError):
        requests.get(server.url, timeout=5)
