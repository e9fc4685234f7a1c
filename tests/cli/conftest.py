"""A site for the commands, and a way to run them."""

import json
from dataclasses import dataclass

import pytest
from click.testing import CliRunner

from pavics_affinity.cli.group import group
from pavics_affinity.topology.sources import VARIABLE

SITE = """\
[nodes]
node1 = { host = "10.0.0.1" }
node2 = { host = "10.0.0.2", weight = 2 }
node3 = { host = "10.0.0.3" }

[services.finch]
url = "http://proxy:58093/wps"
port = 8093

[services.emu]
url = "http://proxy:58091/wps"
port = 8091
backends = ["node3", "node2", "node1"]
"""
NGINX = """\
upstream {name} {{
  hash $http_machineid;
  server 10.0.0.1:{port};
  server 10.0.0.2:{port} weight=2;
}}
server {{ listen {port}; location / {{ proxy_pass http://{name}; }} }}
"""


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command as a user without any configuration would."""
    for name in (VARIABLE, "APPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    monkeypatch.setenv("COLUMNS", "120")

    def run(*args, stdin=None):
        done = CliRunner().invoke(group, [str(arg) for arg in args], input=stdin)
        # An exception that is not the exit itself would be a traceback to a user.
        assert isinstance(done.exception, SystemExit | None), done.exception
        return Done(done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text(SITE)
    return path


@pytest.fixture
def conf(tmp_path):
    """Directory with two nginx files."""
    directory = tmp_path / "conf.d"
    directory.mkdir()
    for name, port in (("finch", 8093), ("emu", 8091)):
        (directory / f"{name}.conf").write_text(NGINX.format(name=name, port=port))
    return directory
