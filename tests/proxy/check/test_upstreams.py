"""What chooses between upstreams: the machineid, the service asked for, or something else."""

import pytest

PAIR = "upstream a { server 10.0.0.1:8093; }\nupstream b { server 10.0.0.2:8093; }\n"
HASHED = (
    "upstream finch { hash $http_machineid; server 10.0.0.1:8093; server 10.0.0.2:8093; }\n"
    "upstream canary { server 10.0.0.9:8093; }\n"
)
EMU = "upstream emu { hash $http_machineid; server 10.0.0.1:8091; server 10.0.0.2:8091; }\n"
PASS = "proxy_pass http://$to;"


def server(inside=f"location / {{ {PASS} }}"):
    return f"server {{ listen 8093; {inside} }}\n"


@pytest.mark.parametrize(
    ("chosen", "decider"),
    [
        ("split_clients $request_id $to { 50% a; * b; }", "$request_id"),
        ('split_clients "${remote_addr}AAA" $to { 50% a; * b; }', "$remote_addr"),
        ("map $cookie_canary $to { default a; yes b; }", "$cookie_canary"),
        ("map $cookie_x $n { default 0; yes 1; } map $n $to { 0 a; 1 b; }", "$cookie_x"),
        ("map $http_x_canary $to { default a; always b; }", "$http_x_canary"),
        ('map "$http_machineid$arg_x" $to { default a; ~y b; }', "$arg_x"),
        ("map $request_method $to { default a; POST b; }", "$request_method"),
        ("map $arg_node $to { default a; 2 b; }", "$arg_node"),
        ("geo $to { default a; proxy 10.9.0.0/16; 10.0.0.0/8 b; }", "$remote_addr"),
        ("geo $http_x_real_ip $to { default a; 10.0.0.0/8 b; }", "$http_x_real_ip"),
        ("map $geoip_country_code $to { default a; CA b; }", "$geoip_country_code"),
    ],
)
def test_what_chooses_between_nodes_and_is_not_the_machineid_is_named(found, chosen, decider):
    text = chosen + "\n" + PAIR + server()
    [told] = found(text, "no-hash")
    assert (told.severity, decider in told.message) == ("error", True)
    assert found(chosen + "\n" + HASHED + server().replace("$to", "finch"), "bypass") == []
    canary = chosen.replace(" a;", " finch;").replace(" b;", " canary;")
    [told] = found(canary + "\n" + HASHED + server(), "bypass")
    assert (told.severity, decider in told.message) == ("error", True)


@pytest.mark.parametrize(
    "chosen",
    [
        "split_clients $http_machineid $to { 50% a; * b; }",
        'split_clients "v1$http_machineid" $to { 50% a; * b; }',
        "map $http_machineid $to { default a; ~^[0-7] b; }",
        'map $http_machineid $key { default $http_machineid; "" $arg_machineid; } '
        "split_clients $key $to { 50% a; * b; }",
        "map $http_machineid $n { default 0; ~^[0-7] 1; } map $n $to { 0 a; 1 b; }",
    ],
)
def test_a_choice_by_the_machineid_is_not_reported(found, chosen):
    rules = {each.rule for each in found(chosen + "\n" + PAIR + server())}
    assert rules.isdisjoint({"no-hash", "bypass", "no-upstream", "not-judged"})


@pytest.mark.parametrize(
    "chosen",
    [
        "map $host $to { default finch; emu.example emu; }",
        "map $server_port $to { default finch; 8091 emu; }",
        "map $uri $to { default finch; ~^/emu emu; }",
        "map $http_upgrade $to { default finch; websocket canary; }",
        "map $request_id $to { default finch; ~^0 emu; }",  # both hash, to the same nodes
    ],
)
def test_a_choice_of_the_service_is_not_reported(found, chosen):
    rules = {each.rule for each in found(chosen + "\n" + HASHED + EMU + server())}
    assert rules.isdisjoint({"no-hash", "bypass", "not-judged"})


@pytest.mark.parametrize(
    ("more", "severities"), [("", []), (EMU + server("location / { proxy_pass http://emu; }"), 1)]
)
def test_a_canary_by_the_machineid_is_a_warning_where_there_are_several_services(
    found, more, severities
):
    text = "split_clients $http_machineid $to { 10% canary; * finch; }\n" + HASHED + server() + more
    assert [each.severity for each in found(text, "bypass")] == ["warning"] * bool(severities)


@pytest.mark.parametrize(
    ("inside", "bypasses"),
    [
        (f"set $to finch; if ($cookie_x) {{ set $to canary; }} location / {{ {PASS} }}", True),
        (f"location / {{ set $to canary; set $to finch; {PASS} }}", False),
        (f"set $to canary; location / {{ set $to finch; {PASS} }}", False),
        (f"set $to 10.0.0.1:8093; location / {{ set $to finch; {PASS} }}", False),
        (f"if ($cookie_x) {{ set $to canary; }} set $to finch; location / {{ {PASS} }}", False),
        (
            "location / { if ($http_x) { proxy_pass http://canary; } proxy_pass http://finch; }",
            True,
        ),
        (
            "location / { error_page 418 = @c; if ($arg_x) { return 418; } proxy_pass "
            "http://finch; } location @c { proxy_pass http://canary; }",
            True,
        ),
        (
            "location / { limit_except GET { proxy_pass http://canary; } "
            "proxy_pass http://finch; }",
            True,
        ),
        (
            "location / { if ($arg_x) { return 403; } proxy_pass http://finch; } "
            "location @c { proxy_pass http://canary; }",
            False,
        ),
        (
            "if ($cookie_x) { rewrite ^ /c$uri last; } location / { proxy_pass http://finch; } "
            "location /c/ { proxy_pass http://canary/; }",
            True,
        ),
        (
            "rewrite_by_lua_block { ngx.var.to = 'x' } set $to finch; location / { "
            "proxy_pass http://finch; }",
            False,
        ),
    ],
)
def test_conditions_around_the_ways_out_are_followed(found, inside, bypasses):
    assert [each.severity for each in found(HASHED + server(inside), "bypass")] == [
        "error"
    ] * bypasses


@pytest.mark.parametrize(
    "passed",
    [
        "set $to finch; location / { proxy_pass $scheme://$to$request_uri; }",
        'set $s http; set $h "10.0.0.9"; set $p 80; location / { proxy_pass $s://$h:$p$uri; }',
        "location ~ ^/x(/.*)$ { proxy_pass http://finch$1$is_args$args; }",
        "location / { proxy_pass http://unix:/run/a.sock:/x; }",
        "location / { uwsgi_pass unix:///run/a.sock; }",
        "location / { grpc_pass grpcs://finch; }",
        "location / { proxy_pass https://[::1]:8443/x/; }",
    ],
)
def test_the_usual_ways_to_write_a_target_are_understood(found, passed):
    assert found(HASHED + server(passed), "not-judged") == []
