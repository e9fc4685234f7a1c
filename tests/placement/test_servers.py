from __future__ import annotations

import pytest

from pavics_affinity.errors import InvalidPlacement
from pavics_affinity.placement import NginxHash
from pavics_affinity.placement.servers import parse_server


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("127.0.0.2:8093", "127.0.0.2:8093"),
        ("127.0.0.2", "127.0.0.2:80"),
        ("127.0.0.02:0080", "127.0.0.2:80"),
        ("[::1]:8093", "[::1]:8093"),
        ("[::1]", "[::1]:80"),
        ("[2001:DB8:0:0:1:0:0:1]:80", "[2001:db8::1:0:0:1]:80"),
        ("[2001:0:1:0:1:0:1:0]:80", "[2001:0:1:0:1:0:1:0]:80"),
        ("[1:2:3:4:5:6:0:0]:80", "[1:2:3:4:5:6::]:80"),
        ("[::]:80", "[::]:80"),
        # What ngx_inet6_ntop prints with dots.
        ("[::ffff:1.2.3.4]:80", "[::ffff:1.2.3.4]:80"),
        ("[::ffff:102:304]:80", "[::ffff:1.2.3.4]:80"),
        ("[::1.2.3.4]:80", "[::1.2.3.4]:80"),
        ("[::fffe:102:304]:80", "[::fffe:102:304]:80"),
        ("unix:/run/wps.sock", "unix:/run/wps.sock"),
        ("UNIX:/run/a:80", "UNIX:/run/a:80"),
    ],
)
def test_addresses_are_printed_as_nginx_prints_them(line: str, address: str):
    assert NginxHash([line]).place("a") == address


def test_resolved_addresses_get_the_port_of_the_line():
    placement = NginxHash(["n:8093"], resolve=lambda name: ["10.0.0.1", "fe80::1"])
    assert placement.addresses == ("10.0.0.1:8093", "[fe80::1]:8093")


def test_parameters_can_be_in_any_order():
    server = parse_server("n:1 max_fails=0 weight=3 fail_timeout=1m30s down max_conns=9 backup")
    assert (server.weight, server.down, server.backup) == (3, True, True)


def test_a_draining_server_counts_as_down():
    assert parse_server("n:1 drain").down


def test_the_last_weight_counts():
    assert parse_server("n:1 weight=2 weight=5").weight == 5


@pytest.mark.parametrize("value", ["10", "10s", "1m", "2h 30m".replace(" ", ""), "1y1M1w1d"])
def test_times_are_accepted_as_nginx_does(value: str):
    assert parse_server(f"n:1 fail_timeout={value}").text == "n:1"


@pytest.mark.parametrize(
    "parameter",
    [
        "weight=0",
        "weight=-1",
        "weight=",
        "weight=1.5",
        "weight=x",
        "weight",
        "max_fails=x",
        "max_conns=-1",
        "fail_timeout=10x",
        "fail_timeout=",
        "fail_timeout=5s5m",
        "down=1",
        "DOWN",
        "slow_start=30s",
        "route=",
        ";",
    ],
)
def test_a_parameter_that_nginx_refuses_is_named(parameter: str):
    with pytest.raises(InvalidPlacement) as error:
        NginxHash([f"127.0.0.1:80 {parameter}"])
    assert repr(parameter) in str(error.value)


@pytest.mark.parametrize(
    "address",
    [
        ":8093",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:80;",
        "127.0.0.1:80:81",
        "::1",
        "[::1",
        "[::1]80",
        "[::1]:x",
        "[::g]:80",
        "[fe80::1%eth0]:80",
        "http://127.0.0.1:80",
        "127.0.0.1/wps",
        "unix:",
        "unix:/" + "x" * 107,
        "",
        "   ",
    ],
)
def test_an_address_that_nginx_refuses_is_named(address: str):
    with pytest.raises(InvalidPlacement, match="expected") as error:
        NginxHash([address])
    assert repr(address) in str(error.value)


def test_a_line_that_is_not_a_string_is_refused():
    with pytest.raises(InvalidPlacement, match="8093"):
        NginxHash([8093])  # type: ignore[list-item]  # the slip under test


def test_a_resolver_that_gives_no_addresses_is_refused():
    with pytest.raises(InvalidPlacement, match=r"'10\.0\.0\.1:80'"):
        NginxHash(["n:80"], resolve=lambda _: ["10.0.0.1:80"])
