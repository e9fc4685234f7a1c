"""Files of any origin: templates, Windows, Lua, cut short; each problem has its true place."""

import json

import pytest
from click.testing import CliRunner

from pavics_affinity.cli.group import group
from pavics_affinity.errors import NginxConfigError
from pavics_affinity.proxy.check import check
from pavics_affinity.proxy.read import read_nginx

HASH = "hash $http_machineid;"
FINCH = f"upstream finch {{ {HASH} server 10.0.0.1:8093; server 10.0.0.2:8093; }}\n"
NO_HASH = FINCH.replace(HASH, "")
SERVER = "server { listen 8093; location / { proxy_pass http://finch; } }\n"
SETTINGS = {"max-fails", "next-upstream", "read-timeout", "body-size", "no-evidence", "header-only"}


@pytest.fixture
def found(tmp_path):
    def found(text, name="nginx.conf"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return [(each.rule, each.severity) for each in check(path) if each.rule not in SETTINGS]

    return found


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "mark", ["${INCLUDE_HTTPS}", "  $HTTPS", "${A} ${B}  # both", "${SSL};", "${SSL} on;"]
)
def test_a_variable_for_whole_directives_is_a_note_and_the_rest_is_checked(found, mark, newline):
    text = f"{mark}\n{NO_HASH}{SERVER}".replace("\n", newline)
    assert found(text, "site.conf.template") == [("no-hash", "error"), ("placeholder", "note")]
    assert found(text) == [("placeholder", "error"), ("no-hash", "error")]


def test_a_variable_that_fills_a_location_does_not_hide_the_server(found):
    text = FINCH + SERVER.replace("location", "location /a {\n  ${ROOT}\n}\n location")
    assert found(text, "all.include.template") == [("placeholder", "note")]


JINJA = """\
{# the services #}
upstream finch {
  METHOD
{% for host in groups['wps'] %}
  server {{ hostvars[host].ip }}:{{ port }}{% if not loop.first %} weight=1{% endif %};
{% endfor %}
}
server {
  listen {{ port }}{% if tls %} ssl{% endif %};
{% if tls %}
  ssl_certificate {{ certificate }};
{% endif %}
  location / { proxy_pass http://finch; }
}
"""
GO = """\
{{- /* the
   services */}}
{{ range $host := .Hosts }}
upstream {{ $host }} {
  METHOD
  {{- range $c := .Containers }}
  server {{ $c.Address }}:{{ $c.Port }};
  {{ end }}
}
server {
  listen 80 {{ $default }};
  server_name {{ $host }};
  location / { proxy_pass {{ $proto }}://{{ $host }}; }
}
{{ end }}
"""
ERB = """\
upstream finch {
  METHOD
<% @servers.each do |server| -%>
  server <%= server %>:8093 max_fails=0;
<% end -%>
}
server { listen <%= @port %>; location / { proxy_pass http://finch; } }
"""


@pytest.mark.parametrize(
    ("template", "name"),
    [(JINJA, "x.conf.j2"), (JINJA, "x.conf"), (GO, "nginx.tmpl"), (ERB, "x.conf.erb")],
)
@pytest.mark.parametrize(
    ("method", "errors"),
    [
        (HASH, []),
        ("", [("no-hash", "error")]),
        ("hash $request_uri;", [("hash-other-variable", "error")]),
        ("{{ method }}", [("not-judged", "error")]),
    ],
)
def test_templates_of_other_languages_are_read(found, template, name, method, errors):
    told = found(template.replace("METHOD", method), name)
    assert [each for each in told if each[0] != "placeholder"] == errors
    assert {severity for rule, severity in told if rule == "placeholder"} == {"note"}


def test_two_branches_of_a_template_may_define_one_upstream(found):
    text = f"{{% if a %}}\n{FINCH}{{% else %}}\n{FINCH}{{% endif %}}\n{SERVER}"
    assert found(text, "x.conf.j2") == [("placeholder", "note")]
    assert ("refused", "error") in found(FINCH + FINCH + SERVER)


def test_a_template_whose_braces_match_only_after_filling_in_is_an_error(found):
    text = "{% if a %}\nserver {\n{% else %}\nserver {\n{% endif %}\n}\n"
    assert found(FINCH + text, "x.conf.j2") == [("placeholder", "error")]
    assert found(FINCH + "server { listen 1\n}", "x.conf.template") == [("syntax", "error")]


def test_one_server_that_is_filled_in_counts_as_one(found):
    text = NO_HASH.replace("server 10.0.0.2:8093;", "").replace("10.0.0.1", "${HOST}") + SERVER
    assert ("no-upstream", "error") in found(text, "x.conf.template")
    assert "no-hash" not in dict(found(text, "x.conf.template"))


def test_a_port_whose_listen_a_template_may_bring_is_a_note(tmp_path):
    (tmp_path / "nginx.conf.template").write_text("${HTTPS}\n" + FINCH + SERVER)
    (tmp_path / "docker-compose.yml").write_text(
        "services:\n  proxy:\n    ports: ['443:443', '8093:8093']\n"
    )
    told = [each for each in check(tmp_path) if each.rule == "compose-ports"]
    assert [each.severity for each in told] == ["note"]
    (tmp_path / "nginx.conf.template").write_text(FINCH + SERVER)
    told = [each for each in check(tmp_path) if each.rule == "compose-ports"]
    assert [each.severity for each in told] == ["error"]


def test_an_upstream_that_a_variable_names_is_the_same_in_proxy_pass(found):
    text = (FINCH + SERVER).replace("finch", "${NAME}")
    assert found(text, "x.conf.template") == []


def test_directories_of_templates_are_read_and_so_are_their_includes(tmp_path):
    conf = tmp_path / "conf.d"
    conf.mkdir()
    (tmp_path / "nginx.conf.template").write_text(
        "http {\n include /etc/nginx/conf.d/a.conf;\n include ${MORE};\n}\n"
    )
    (conf / "a.conf.template").write_text(NO_HASH + SERVER)
    told = {each.rule: each.file for each in check(tmp_path)}
    assert told["no-hash"] == str(conf / "a.conf.template")
    assert told["placeholder"] == str(tmp_path / "nginx.conf.template")
    assert {each.rule for each in check(conf)} >= {"no-hash"}
    (tmp_path / "nginx.conf.template").unlink()
    assert {each.rule for each in check(tmp_path)} >= {"no-hash"}


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("\ufeff" + NO_HASH, "utf-8"),
        ("\ufeff# a comment\n" + NO_HASH, "utf-8"),
        ("# one file\n\ufeff" + NO_HASH, "utf-8"),
        (NO_HASH, "utf-16"),
        (NO_HASH, "utf-16-be"),
    ],
)
def test_a_byte_order_mark_does_not_swallow_the_first_directive(found, text, encoding):
    told = found((text + SERVER).encode(encoding))
    assert sorted(told) == [("no-hash", "error"), ("syntax", "error")]


def test_the_mark_of_an_included_file_is_found_in_that_file(tmp_path):
    (tmp_path / "nginx.conf").write_text("http { include a.conf; }")
    (tmp_path / "a.conf").write_text("\ufeff" + FINCH + SERVER, encoding="utf-8")
    [told] = [each for each in check(tmp_path / "nginx.conf") if each.severity == "error"]
    assert (told.file, told.line) == (str(tmp_path / "a.conf"), 1)


@pytest.mark.parametrize(
    "text",
    [
        "server { set_by_lua_block $x{ return 1 }\n content_by_lua_block{ say('{') } }\n",
        "init_by_lua_block {\n local t = { a = { 1 } } -- }\n}\n",
        "server { ssl_client_hello_by_lua_block { x() } }\n",
    ],
)
def test_lua_is_not_a_syntax_error_and_the_rest_is_checked(found, text):
    assert found(text + NO_HASH + SERVER) == [("no-hash", "error")]


BROKEN = [
    "content_by_lua_block x;", "set_by_lua_block\n$x\n{", "content_by_lua_block {\n'", "a {\n} }",
    "a 'b", ";", "{", "server { listen\n}", "events { worker_connections 1 2 3; }", "http {\n",
    "http { server_tokens maybe; }", "include a b;", "user", "a {" * 2000,
]  # fmt: skip


@pytest.mark.parametrize("text", BROKEN, ids=lambda text: text[:20])
def test_messages_name_only_files_of_the_user(tmp_path, text):
    path = tmp_path / "nginx.conf"
    path.write_text(text)
    for words in (["check", str(path)], ["check", "--json", str(path)]):
        done = CliRunner().invoke(group, words)
        assert isinstance(done.exception, SystemExit | None)
        assert "None" not in done.output
        assert done.exit_code == 1
    assert {each["file"] for each in json.loads(done.stdout)} == {str(path)}
    with pytest.raises(NginxConfigError) as caught:
        read_nginx(path)
    assert "None" not in str(caught.value)
    assert caught.value.file in (str(path), None)


# ---- read_nginx ----


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (FINCH.replace(HASH, HASH + " sticky cookie s;"), "sticky cookie s;' in upstream 'finch'"),
        (FINCH.replace(HASH, HASH + " least_conn;"), "'least_conn;' comes after the hash"),
        (FINCH.replace(HASH, HASH + " balancer_by_lua_block { b() }"), "balancer_by_lua_block"),
        ("${SSL}\n" + FINCH, "'${SSL}' stands for whole directives"),
        ("\ufeff" + FINCH, "byte order mark"),
    ],
)
def test_read_nginx_refuses_what_makes_the_hash_decide_nothing(tmp_path, text, words):
    path = tmp_path / "nginx.conf"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(NginxConfigError) as caught:
        read_nginx(path)
    assert words in str(caught.value)
    assert caught.value.line == 1


def test_read_nginx_takes_parameters_beside_other_methods_and_warns_of_unknown_ones(tmp_path):
    path = tmp_path / "nginx.conf"
    portal = "upstream portal { least_conn; server 10.9.0.1:80 slow_start=30s; }\n"
    path.write_text(FINCH + portal)
    assert [service.name for service in read_nginx(path).services] == ["finch"]
    path.write_text(FINCH.replace(HASH, HASH + " fair;"))
    with pytest.warns(UserWarning, match="'fair' in upstream 'finch' is not known"):
        read_nginx(path)
