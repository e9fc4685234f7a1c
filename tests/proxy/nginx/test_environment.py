"""Values of templates, read from shell files and never run."""

import pytest

from pavics_affinity.proxy.nginx.environment import Environment, open_names

DEFAULTS = r"""
#!/bin/sh
export HTTP_ONLY="False"
export SCHEME='$([ x"$HTTP_ONLY" = x"True" ] && echo http || echo https )'
export TLS='$([ x"$HTTP_ONLY" = x"True" ] || echo "include /etc/nginx/conf.d/https.include;" )'
export ROOT='return 302 ${SCHEME}://\$host/login;'
export PARAMS=""
NAME=a.example  # a comment
export PUBLIC='${NAME}'
export LIST="
  $LIST
  ./components/finch
"
export LIST="$LIST ./components/raven"
export MADE='$(hostname)'
export LOOP='${LOOP2}'
export LOOP2='${LOOP}'
if true; then
  export NAME=conditional
fi
# export NAME=comment
"""


@pytest.fixture
def values():
    made = Environment()
    made.read(DEFAULTS)
    return made


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${SCHEME}://${PUBLIC}/", "https://a.example/"),
        ("${TLS}", "include /etc/nginx/conf.d/https.include;"),
        ("${ROOT}", "return 302 https://$host/login;"),
        ("listen 443 ${PARAMS};", "listen 443  ;"),
        ("${MADE} ${LOOP} ${MISSING} $host ${host}", "${MADE} ${LOOP} ${MISSING} $host ${host}"),
    ],
)
def test_values_are_filled_in_as_far_as_they_are_known(values, text, filled):
    assert values.fill(text) == filled


def test_lines_keep_their_numbers(values):
    values.read("BLOCK='one; # the first\n\ntwo;'\n")
    assert values.fill("a\n${BLOCK}\nb") == "a\none; two;\nb"


def test_the_last_assignment_counts_also_for_what_refers_to_it(values):
    values.read('export HTTP_ONLY="True"\nexport NAME=b.example')
    assert values.fill("${SCHEME}://${PUBLIC}/") == "http://b.example/"
    assert values.words("LIST") == ["./components/finch", "./components/raven"]


def test_what_is_left_is_named():
    assert list(open_names("${A} ${b} ${A} ${C_1} $D")) == ["${A}", "${C_1}"]


def test_values_that_would_grow_without_end_are_not_known():
    made = Environment()
    made.read(
        "A0='"
        + "x" * 1000
        + "'\n"
        + "".join(
            f"A{n}='{'${A' + str(n - 1) + '}' * 1}{'${A' + str(n - 1) + '}'}'\n"
            for n in range(1, 19)
        )
    )
    assert made.fill("${A18}") == "${A18}"
