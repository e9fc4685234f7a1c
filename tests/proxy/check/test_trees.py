"""Trees of components with templates, of the shape of birdhouse-deploy."""

import pytest

from pavics_affinity.errors import NginxConfigError
from pavics_affinity.proxy.check import check

PROXY = "components/proxy"
SERVICE = "config/proxy/conf.extra-service.d"
DIRECTIVES = "config/proxy/conf.extra-directives.d"
TREE = {
    "default.env": """\
export FQDN_PUBLIC='${FQDN}'
export DEFAULT_CONF_DIRS='
  ./components/proxy
  ./components/twitcher
'
""",
    f"{PROXY}/default.env": """\
export HTTP_ONLY="False"
export SCHEME='$([ x"$HTTP_ONLY" = x"True" ] && echo http || echo https )'
export INCLUDE_HTTPS='$([ x"$HTTP_ONLY" = x"True" ] || echo "include /etc/nginx/conf.d/https.include;" )'
export LISTEN_443_PARAMS=""
export READ_TIMEOUT="240s"
""",  # noqa: E501 - one shell line
    f"{PROXY}/nginx.conf.template": """\
events {}
http {
  client_max_body_size 1000m;
  proxy_read_timeout ${READ_TIMEOUT};
  include /etc/nginx/conf.d/*.conf;
}
""",
    f"{PROXY}/conf.d/frontend.conf.template": """\
include /etc/nginx/conf.extra-directives.d/*/*.conf;
server { listen 80; location / { return 308 https://$host$request_uri; } }
${INCLUDE_HTTPS}
""",
    f"{PROXY}/conf.d/https.include.template": """\
server {
  listen 443 ${LISTEN_443_PARAMS};
  server_name localhost;
  ssl on;
  ssl_certificate /etc/nginx/cert.pem;
  ssl_certificate_key /etc/nginx/cert.pem;
  include /etc/nginx/conf.extra-service.d/*/*.conf;
}
""",
    "components/twitcher/default.env": "COMPONENT_DEPENDENCIES='\n  ./components/outputs\n'\n",
    f"components/twitcher/{SERVICE}/twitcher.conf.template": """\
location /twitcher/ {
  proxy_pass http://twitcher:8000/;
  proxy_set_header Host $host;
}
""",
    f"components/outputs/{SERVICE}/outputs.conf.template": """\
location /wpsoutputs/ {
  alias /data/wps_outputs/;
}
""",
    # Nothing names it.
    f"components/broken/{SERVICE}/broken.conf.template": "location / { proxy_pass",
    f"components/old/{DIRECTIVES}/old.conf": "upstream old { server a:1; server b:1; }",
}
HASH = """\
upstream affinity-finch {
  zone affinity-finch 64k;
  hash $http_machineid;
  server 10.0.0.1:5000 max_fails=0;
  server 10.0.0.2:5000 max_fails=0;
}
server {
  listen 5000;
  proxy_read_timeout 3600s;
  proxy_next_upstream off;
  add_header X-Pavics-Node $upstream_addr always;
  location / { proxy_pass http://affinity-finch; }
}
"""
INNER = {
    "env.local": "export FQDN=pavics.example\nexport EXTRA_CONF_DIRS='./components/affinity'\n",
    f"components/affinity/{DIRECTIVES}/affinity.conf": HASH,
}


@pytest.fixture
def tree(tmp_path):
    def made(*more, without=()):
        files = dict(TREE)
        for each in more:
            files |= each
        for name, text in files.items():
            if name not in without:
                path = tmp_path / "deploy" / "birdhouse" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        return tmp_path / "deploy"

    return made


def rules(found):
    return {(each.rule, each.severity) for each in found}


@pytest.mark.parametrize("below", [".", "birdhouse"])
def test_a_tree_without_upstreams_gets_a_hint_where_one_would_go(tree, below):
    [hint] = check(tree() / below)
    assert (hint.rule, hint.severity) == ("no-upstream", "note")
    assert "location /twitcher/ go to twitcher" in hint.message
    assert hint.file.endswith(f"{SERVICE}/twitcher.conf.template")


def test_what_is_not_in_use_is_not_read_and_without_a_list_everything_is(tree):
    directory = tree()
    assert {each.rule for each in check(directory)} == {"no-upstream"}
    (directory / "birdhouse" / "default.env").write_text("")
    assert {"syntax", "no-hash"} <= {each.rule for each in check(directory)}


def test_outputs_from_disk_are_found_in_another_server_than_the_hash(tree):
    found = check(tree(INNER))
    assert rules(found) == {("outputs-bypass", "warning"), ("header-only", "note")}
    [outputs] = [each for each in found if each.rule == "outputs-bypass"]
    assert outputs.file.endswith("outputs.conf.template")


def test_outputs_that_go_by_the_hash_below_the_shared_place_are_right(tree):
    location = "location /wpsoutputs/finch/ { proxy_pass http://affinity-finch; }"
    by_hash = {f"components/affinity/{SERVICE}/affinity.conf": location}
    assert "outputs-bypass" not in {each.rule for each in check(tree(INNER, by_hash))}
    second = HASH.replace("affinity-finch", "affinity-raven").replace("5000", "9099")
    raven = {f"components/affinity/{DIRECTIVES}/raven.conf": second}
    assert "outputs-bypass" in {each.rule for each in check(tree(INNER, by_hash, raven))}


def test_a_variable_without_a_value_is_named_and_no_error(tree, tmp_path):
    inner = {
        f"{PROXY}/conf.d/https.include.template": TREE[
            f"{PROXY}/conf.d/https.include.template"
        ].replace("ssl on;", "ssl on; ssl_dhparam ${DHPARAM}; ${MORE_SETTINGS}\n")
    }
    found = check(tree(inner))
    assert {each.severity for each in found} == {"note"}
    named = " ".join(each.message for each in found if each.rule == "placeholder")
    assert "${DHPARAM}" in named
    assert "${MORE_SETTINGS}" in named
    (tmp_path / "more.env").write_text("DHPARAM=/etc/dh.pem\nexport MORE_SETTINGS='http2 on;'\n")
    assert {each.rule for each in check(tree(inner), env=[tmp_path / "more.env"])} == {
        "no-upstream"
    }


def test_the_users_values_count_more_than_the_trees(tree, tmp_path):
    (tmp_path / "http.env").write_text("export HTTP_ONLY=True\n")
    [hint] = check(tree(), env=[tmp_path / "http.env"])
    assert hint.message.startswith("there is no upstream in these files")  # https.include is off


def test_values_that_cannot_be_read_are_an_error(tree, tmp_path):
    with pytest.raises(NginxConfigError, match=r"missing\.env"):
        check(tree(), env=[tmp_path / "missing.env"])


def test_a_rendered_file_counts_more_than_its_template(tree):
    rendered = {
        f"components/twitcher/{SERVICE}/twitcher.conf": "location /twitcher/ { return 404; }\n"
    }
    assert "twitcher" not in " ".join(each.message for each in check(tree(rendered)))


def test_the_command_takes_values_and_exits_by_errors_only(run_check, tree, tmp_path):
    (tmp_path / "site.env").write_text("FQDN=pavics.example\n")
    assert run_check(str(tree()), "--env", str(tmp_path / "site.env")) == 0
    assert run_check(str(tree()), "--env", str(tmp_path / "none.env")) == 1


@pytest.fixture
def run_check():
    from click.testing import CliRunner

    from pavics_affinity.cli.group import group

    return lambda *arguments: CliRunner().invoke(group, ["check", *arguments]).exit_code
