"""``check`` and ``read_nginx`` read one model: what one reports, the other raises."""

import pytest

from pavics_affinity.errors import NginxConfigError
from pavics_affinity.proxy.check import check
from pavics_affinity.proxy.read import read_nginx

HASH = "hash $http_machineid;"
FINCH = f"upstream finch {{ {HASH} server 10.0.0.1:8093; server 10.0.0.2:8093; }}\n"
SERVER = "server { listen 8093; location / { proxy_pass http://finch; } }\n"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "nginx.conf"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (f"upstream finch {{\n {HASH}\n server :8093;\n}}\n", "server-without-host"),
        (f"upstream finch {{\n {HASH}\n server 8093;\n}}\n", "server-without-host"),
        (f"upstream finch {{\n {HASH}\n server a:1 weight=0;\n}}\n", "refused"),
        (f"upstream finch {{\n {HASH}\n server ${{HOST}}:8093;\n}}\n", "placeholder"),
        (f"upstream finch {{\n {HASH}\n}}\n", "refused"),
        ("upstream finch {\n server a:1 backup;\n}\n", "refused"),
        ("upstream finch {\n server a:1;\n hash a b c;\n}\n", "refused"),
        (FINCH + FINCH, "refused"),
        (FINCH + FINCH.replace("finch", "FINCH"), "refused"),
        (FINCH + "server { listen 99999; }\n", "refused"),
        (FINCH + "server { listen ; }\n", "refused"),
        (FINCH + "server {\n", "syntax"),
        (FINCH + "include gone.conf;\n", "include"),
        ("\ufeff" + FINCH, "syntax"),
        ("${SSL}\n" + FINCH, "placeholder"),
    ],
)
def test_read_nginx_raises_at_the_line_where_check_reports(path, text, rule):
    path.write_text(text, encoding="utf-8")
    lines = [each.line for each in check(path) if each.rule == rule]
    with pytest.raises(NginxConfigError) as caught:
        read_nginx(path)
    assert caught.value.file == str(path)
    assert caught.value.line in lines


@pytest.mark.parametrize(
    "server",
    [
        SERVER.replace("finch", "FINCH"),
        "server { listen 8093; set $to finch; location / { proxy_pass http://$to; } }\n",
        "server { listen 8093; location / { proxy_pass $scheme://finch; } }\n",
        "map $host $to { default finch; }\n" + SERVER.replace("finch", "$to"),
    ],
)
def test_the_way_to_an_upstream_is_found_by_both(path, server):
    path.write_text(FINCH + server)
    assert read_nginx(path).services[0].listen == 8093
    rules = {each.rule for each in check(path)}
    assert "max-fails" in rules
    assert rules.isdisjoint({"unused-upstream", "not-judged", "bypass"})


def test_a_header_that_a_set_passes_on_is_that_of_the_key_for_both(path):
    key = SERVER.replace("location", "set $key $http_machineid; location")
    path.write_text(FINCH.replace("$http_machineid", "$key") + key)
    assert read_nginx(path).header == "machineid"
    assert "hash-other-variable" not in {each.rule for each in check(path)}
