"""What ``check`` does not understand, it names and does not pass."""

import pytest

TWO = "server 10.0.0.1:8093; server 10.0.0.2:8093;"
HASHED = f"upstream finch {{ hash $http_machineid; {TWO} }}\n"
PASS = "location / { proxy_pass http://finch; }"


def server(inside=PASS, port=8093):
    return f"server {{ listen {port}; {inside} }}\n"


@pytest.mark.parametrize(
    ("method", "named"),
    [
        ("fair;", "fair"),
        ("consistent_hash $http_machineid;", "consistent_hash"),
        ("hsah $http_machineid;", "hsah"),
        ("hash\u00a0$http_machineid;", "hash"),
        ("balancer_by_lua_block { b.balance() }", "balancer_by_lua_block"),
        ("balancer_by_lua_file /etc/nginx/b.lua;", "balancer_by_lua_file"),
    ],
)
def test_a_method_of_another_module_is_named_without_claiming_turns(found, method, named):
    text = f"upstream finch {{ {method} {TWO} }}\n" + server()
    errors = [each for each in found(text) if each.severity == "error"]
    assert [each.rule for each in errors] == ["not-judged"]
    assert named in errors[0].message
    assert "turn" not in errors[0].message


@pytest.mark.parametrize(
    ("more", "severities"),
    [
        ("fair;", ["warning"]),
        ("balancer_by_lua_block { b.balance() }", ["error"]),
        ("keepalive 4; keepalive_time 1h; zone f 64k; check interval=3000 rise=2;", []),
        ("check_http_send 'HEAD / HTTP/1.0'; resolver 127.0.0.11; queue 100;", []),
    ],
)
def test_beside_a_hash_only_what_can_choose_is_named(found, more, severities):
    text = f"upstream finch {{ hash $http_machineid; {TWO} {more} }}\n" + server()
    assert [each.severity for each in found(text, "not-judged")] == severities


def test_the_upstream_of_an_ingress_with_its_only_server_of_no_meaning_is_not_passed(found):
    text = "upstream balancer { server 0.0.0.1; balancer_by_lua_block { b() } keepalive 320; }\n"
    text += server("set $proxy_upstream_name a; location / { proxy_pass http://balancer; }")
    assert {each.rule for each in found(text) if each.severity == "error"} == {"not-judged"}


@pytest.mark.parametrize(
    "inside",
    [
        "set_by_lua_block $to{ return pick({}) } location / { proxy_pass http://$to; }",
        "set_by_lua $to 'return 1'; location / { proxy_pass http://$to; }",
        "set_by_lua_file $to x.lua; location / { proxy_pass http://$to; }",
        'set $to ""; rewrite_by_lua_block { ngx.var.to = pick() } location / { proxy_pass $to; }',
        "set $to finch; access_by_lua_file x.lua; location / { proxy_pass http://$to; }",
        "auth_request_set $to $upstream_http_x_to; location / { proxy_pass http://$to; }",
        "location / { proxy_pass http://$arg_to; }",
        "location / { proxy_pass http://$http_x_to:8093; }",
        "location / { js_content main.pass; }",
        "location / { content_by_lua_file x.lua; }",
        "location / { content_by_lua_block { ngx.location.capture('/x') } }",
    ],
)
def test_a_choice_by_a_program_or_the_request_is_an_error_unless_a_hash_is_reached(found, inside):
    text = HASHED + server(inside)
    severities = {each.severity for each in found(text, "not-judged")}
    assert severities <= {"error", "warning"}
    assert ("error" in severities) is ("set $to finch" not in inside)
    assert {each.severity for each in found(text + server(port=1), "not-judged")} == {"warning"}


@pytest.mark.parametrize("set_by", ["js_set $to m.f;", "perl_set $to 'sub { return 1; }';"])
def test_variables_of_njs_and_perl_are_not_passed(found, set_by):
    told = found(set_by + HASHED + server("location / { proxy_pass http://$to; }"), "not-judged")
    assert [(each.severity, "$to" in each.message) for each in told] == [("error", True)]


def test_a_location_of_lua_that_answers_by_itself_is_not_reported(found):
    own = "location /up { content_by_lua_block { ngx.say('{ok}') } }"
    assert found(HASHED + server(own + PASS), "not-judged") == []


@pytest.mark.parametrize(
    ("key", "rule"),
    [
        ("set $k $http_machineid;", None),
        ("set_by_lua_block $k { return 1 }", "not-judged"),
        ("set $k $remote_addr;", "hash-other-variable"),
        ("", "not-judged"),
    ],
)
def test_a_key_that_a_program_makes_is_not_judged(found, key, rule):
    text = HASHED.replace("$http_machineid", "$k") + server(key + PASS)
    assert {each.rule for each in found(text) if each.severity == "error"} == ({rule} - {None})


@pytest.mark.parametrize(
    ("sticky", "severities"),
    [
        ("sticky;", 1),
        ("sticky cookie srv expires=1h;", 1),
        ("sticky route $cookie_r $arg_r;", 1),
        ("sticky learn create=$upstream_cookie_s lookup=$cookie_s zone=c:1m;", 1),
        ("session_sticky;", 1),
        ("sticky route $http_machineid;", 0),
    ],
)
@pytest.mark.parametrize("method", ["hash $http_machineid;", "least_conn;", ""])
def test_sticky_decides_before_any_method(found, sticky, severities, method):
    text = f"upstream finch {{ {method} {sticky} {TWO} }}\n" + server()
    assert [each.severity for each in found(text, "sticky")] == ["error"] * severities
    assert not any("in turn" in each.message for each in found(text, "no-hash"))


def test_files_without_balancing_are_an_error(found):
    single = "upstream app { server 127.0.0.1:8000; }\n" + server().replace("finch", "app")
    for text in ("", "\n\n", "# the upstreams are elsewhere\n", "events {}\n", "http {}", single,
                 server("location / { proxy_pass http://10.0.0.1:8093; }")):  # fmt: skip
        [told] = found(text, "no-upstream")
        assert (told.severity, told.line) == ("error", 1)


def test_a_file_that_does_not_parse_is_not_reported_as_without_upstream(found):
    assert {each.rule for each in found(HASHED + "server {")} == {"syntax"}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("location / { proxy_pass http://nodes:8093; }", "several-addresses"),
        ("set $to nodes:8093; resolver 127.0.0.11; location / { proxy_pass http://$to; }",
         "several-addresses"),
        ("set $to other:8093; resolver 127.0.0.11; location / { proxy_pass http://$to; }",
         "changing-addresses"),
    ],
)  # fmt: skip
def test_a_name_for_several_machines_is_found_where_requests_are_passed(found, text, rule):
    def resolve(name):
        return ["10.0.0.1", "10.0.0.2"] if name == "nodes" else []

    text = HASHED + server(port=1) + server(text)
    assert [each.rule for each in found(text, resolve=resolve) if "addresses" in each.rule] == [
        rule
    ]


@pytest.mark.parametrize(
    ("addresses", "severities"),
    [([], ["warning"]), (["10.0.0.1"], []), (["10.0.0.1", "10.0.0.2"], ["warning"])],
)
def test_one_name_under_a_hash_may_be_several_machines(found, addresses, severities):
    text = "upstream finch { hash $http_machineid; server nodes:8093; }\n" + server()
    told = found(text, "several-addresses", resolve=lambda name: addresses)
    assert [each.severity for each in told] == severities


@pytest.mark.parametrize("line", ["nodes:8093", "other:8093 resolve", "other service=http resolve"])
def test_one_server_line_for_several_machines_needs_a_hash(found, line):
    text = f"upstream finch {{ zone f 64k; server {line}; }}\n" + server()
    told = found(text, "no-hash", resolve=lambda name: ["10.0.0.1", "10.0.0.2"] * (name == "nodes"))
    assert [each.severity for each in told] == ["error"]


@pytest.mark.parametrize("method", ["", "least_conn;", "ip_hash;", "hash $http_machineid;"])
def test_slow_start_is_refused_beside_the_methods_that_refuse_it(found, method):
    text = f"upstream finch {{ {method} server 10.0.0.1:1 slow_start=3s; server 10.0.0.2:1; }}\n"
    refused = found(text + server(), "refused")
    assert bool(refused) is (method.startswith(("hash", "ip_hash")))
    assert not any("beside a hash" in each.message for each in refused)
