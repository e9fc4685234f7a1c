"""TCP connections, which are balanced before any header is seen."""

import pytest

TWO = "server 10.0.0.1:{0}; server 10.0.0.2:{0};"
HTTP = (
    "http { upstream finch { hash $http_machineid; server 10.0.0.1:8093; server 10.0.0.2:8093; }\n"
    " server { listen 9093; location / { proxy_pass http://finch; } }\n}\n"
)


def stream(upstream, server="listen 8093; proxy_pass nodes;", more=""):
    return f"stream {{ {more} upstream nodes {{ {upstream} }} server {{ {server} }} }}\n"


@pytest.mark.parametrize("method", ["", "hash $remote_addr;", "least_conn;", "random;"])
def test_a_proxy_that_balances_connections_only_is_an_error(found, method):
    text = "events {}\n" + stream(method + TWO.format(8093))
    errors = {each.rule for each in found(text) if each.severity == "error"}
    assert errors == {"no-upstream", "stream"}
    assert found(text, "no-upstream")[0].line == 2


def test_snippets_of_stream_are_recognised_by_their_servers(found):
    text = f"upstream nodes {{ {TWO.format(8093)} }}\nserver {{ listen 1; proxy_pass nodes; }}\n"
    assert {each.rule for each in found(text)} == {"no-upstream", "stream"}


@pytest.mark.parametrize(
    ("text", "severities"),
    [
        (stream("least_conn;" + TWO.format(9093)), ["error"]),  # proxies in front of http
        (stream(TWO.format(8093)), ["error"]),  # the nodes themselves
        (stream(TWO.format(3306).replace("10.0.0", "10.5.0")), ["warning"]),
        (stream(TWO.format(53), "listen 53 udp; proxy_pass nodes;"), []),
        ("stream { server { listen 53 udp; proxy_pass nodes.example:53; } }\n", []),
        (stream("server 127.0.0.1:9093;"), []),
        (stream("server 0.0.0.1:1; balancer_by_lua_block { b() }"), ["warning"]),
        (stream("server nodes.example:9093;"), ["error"]),
        ("stream { server { listen 1; proxy_pass nodes.example:9093; } }\n", ["error"]),
        ("stream { server { listen 1; proxy_pass 127.0.0.1:9093; } }\n", []),
        (
            stream(
                "server 127.0.0.1:9093;",
                "listen 1; proxy_pass $to;",
                "map $ssl_preread_server_name $to { default nodes; x.example 10.9.9.9:443; }",
            ),
            [],
        ),
        (
            stream(
                "server 127.0.0.1:9093;",
                "listen 1; proxy_pass $to;",
                "split_clients $remote_addr $to { 50% nodes; * 10.9.9.9:443; }",
            ),
            ["error"],
        ),
    ],
)
def test_in_front_of_http_it_depends_on_where_the_connections_go(found, text, severities):
    def resolve(name):
        return ["10.0.0.1", "10.0.0.2"] if name == "nodes.example" else []

    told = found("events {}\n" + text + HTTP, "stream", resolve=resolve)
    assert [each.severity for each in told] == severities


def test_a_stream_target_that_is_not_known_is_named(found):
    text = "stream { server { listen 1; proxy_pass $upstream_of_njs; } }\n" + HTTP
    [told] = found(text, "not-judged")
    assert "$upstream_of_njs" in told.message
    assert "one machine" in told.remedy  # connections have no machineid
