"""``check`` prints findings with a fix, and its exit code is for scripts."""

import json

import pytest

BROKEN = """\
upstream finch {
  hash $http_machineid;
  server :8093;
  server :8093;
  server :8093;
}
server {
  listen 8093;
  location / { proxy_pass http://finch; }
}
"""
SOUND = BROKEN.replace("server :8093", "server 10.0.0.1:8093", 1).replace(
    "server :8093", "server 10.0.0.2:8093"
)


@pytest.fixture
def file(tmp_path):
    def file(text, name="finch.conf"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return file


def test_an_error_is_exit_1_and_a_warning_is_not(run, file):
    assert run("check", file(BROKEN)).code == 1
    done = run("check", file(SOUND))
    assert (done.code, "warning  max-fails" in done.out) == (0, True)


def test_a_finding_has_place_consequence_and_remedy(run, file):
    path = file(BROKEN)
    done = run("check", path)
    block = done.out.split("\n\n")[0].splitlines()
    assert block[0] == "error  server-without-host: a server line has no host"
    assert block[1].strip() == f"{path}:3, 4, 5"
    assert "nginx refuses the file" in block[2]
    assert "fix: write the node's address" in block[-1]
    assert done.out.splitlines()[-1].startswith("3 errors, ")


def test_json_is_a_list_and_nothing_else(run, file):
    path = file(BROKEN)
    done = run("check", path, "--json")
    assert (done.code, done.err) == (1, "")
    assert all(
        list(each) == ["rule", "severity", "file", "line", "message", "remedy"]
        for each in done.json
    )
    errors = [each for each in done.json if each["severity"] == "error"]
    assert [(each["rule"], each["file"], each["line"]) for each in errors] == [
        ("server-without-host", str(path), line) for line in (3, 4, 5)
    ]


def test_json_without_findings_is_an_empty_list(run, site, tmp_path):
    run("render", site, "-o", tmp_path / "out")
    ignored = ["--ignore", "order-differs"]  # as in the topology
    done = run("check", tmp_path / "out", "--json", *ignored)
    assert (done.code, json.loads(done.out), done.err) == (0, [], "")
    assert run("check", tmp_path / "out", *ignored).out == "no mistakes in 5 files\n"


def test_a_rule_can_be_left_out(run, file):
    path = file(BROKEN)
    assert run("check", path, "--ignore", "server-without-host").code == 0
    done = run("check", path, "--ignore", "no-such-rule")
    assert (done.code, done.out) == (2, "")
    assert "server-without-host" in done.err
    assert "did you mean 'max-fails'?" in run("check", path, "--ignore", "max-fail").err


@pytest.mark.parametrize("json_too", [[], ["--json"]])
def test_a_path_without_files_is_a_usage_error(run, file, tmp_path, json_too):
    (tmp_path / "empty").mkdir()
    for paths in (
        [],
        [tmp_path / "missing.conf"],
        [tmp_path / "*.nothing"],
        [tmp_path / "empty"],
        [file("services: {}", "docker-compose.yml")],
        [file("[nodes]\n", "site.toml")],
    ):
        done = run("check", *paths, *json_too)
        assert (done.code, done.out) == (2, "")
        assert "Error: " in done.err


def test_an_invalid_topology_is_a_one_line_error(run, file, tmp_path):
    done = run("check", file(SOUND), "--topology", file("[nodes", "bad.toml"), "--json")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("Error: ")


def test_the_files_are_compared_with_a_topology(run, file):
    topology = file(
        '[nodes]\nb = { host = "10.0.0.2" }\na = { host = "10.0.0.1" }\n'
        "[services.finch]\nport = 8093\n",
        "site.toml",
    )
    two = SOUND.replace("  server 10.0.0.2:8093;\n", "", 1)
    assert run("check", file(two)).code == 0
    done = run("check", file(two), "--topology", topology, "--json")
    assert done.code == 1
    assert [each["rule"] for each in done.json if each["severity"] == "error"] == [
        "topology-servers"
    ]


def test_a_name_is_looked_up_with_resolve(run, file, monkeypatch):
    monkeypatch.setattr(
        "socket.getaddrinfo",
        lambda host, *_, **__: [(2, 1, 6, "", (a, 0)) for a in ("10.0.0.1", "10.0.0.2")],
    )
    path = file(SOUND.replace("10.0.0.1:", "nodes.example:"))
    done = run("check", path)
    assert "several-addresses" not in done.out
    assert done.err.startswith("note: nodes.example: ")
    done = run("check", path, "--resolve")
    assert "several-addresses" in done.out
    assert done.err == ""
