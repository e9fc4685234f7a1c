"""File names that a server gives are cleaned."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pavics_affinity.clients import names


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("subset.nc", "subset.nc"),
        ("../../x", "x"),
        ("..", ""),
        ("%2e%2e%2fetc%2fpasswd", "passwd"),
        ("%2e%2e", ""),
        ("C:\\x", "x"),
        ("C:x", "C_x"),
        ("a\x00b\n.nc", "ab.nc"),
        (".bashrc", "bashrc"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("x. ", "x"),
        ("a<b>|c?.nc", "a_b__c_.nc"),
        ("\u202egnp.nc", "gnp.nc"),
        ("/etc/", ""),
        ("Températures été.nc", "Températures été.nc"),
    ],
)
def test_hostile_names_become_harmless(name, cleaned):
    assert names.clean(name) == cleaned


def test_a_long_name_is_cut_and_keeps_its_suffix():
    cut = names.clean("é" * 300 + ".nc")
    assert len(cut.encode()) <= names.LONGEST
    assert cut.endswith("é.nc")


@given(st.text())
def test_no_name_leaves_its_directory(name):
    cleaned = names.clean(name)
    assert len(cleaned.encode()) <= names.LONGEST
    if cleaned:
        assert (Path("/some/where") / cleaned).resolve().parent == Path("/some/where")
        assert not cleaned.startswith(".")
        assert names.clean(cleaned) == cleaned or "%" in cleaned


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://h/outputs/1234/subset.nc", "subset.nc"),
        ("http://h/outputs/subset.nc?machineid=a1b2", "subset.nc"),
        ("http://h/Retrieve?id=1318OUTPUT.601b", "1318OUTPUT.601b"),
        ("http://h/Retrieve?id=../../x", "x"),
        ("http://h/%2e%2e", ""),
        ("http://h/", ""),
        ("http://h/data", "data"),
        ("http://[::1/data", ""),
    ],
)
def test_the_name_of_a_url(url, name):
    assert names.from_url(url) == name


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (None, ""),
        ('attachment; filename="subset.nc"', "subset.nc"),
        ('attachment; filename="../../../etc/passwd"', "passwd"),
        ("attachment; filename*=UTF-8''%C3%A9t%C3%A9.nc", "été.nc"),
        ("attachment; filename*=no-such-charset''x", "x"),
        ("attachment; filename*=idna''%ff.x..a", ""),
        ("attachment; filename*=undefined''a", ""),
        ("attachment; filename*=punycode''%ff", ""),
        ("attachment; filename*=utf-8''%zz%ff.nc", "%zz\ufffd.nc"),
        ("attachment; filename*=base64''aaa", "aaa"),
        (f"attachment; filename*{'9' * 5000}=a", ""),
        ("attachment; filename*=\0''a", ""),
        ("attachment; filename=\ud800.nc", ""),
        ("inline", ""),
    ],
)
def test_the_name_of_a_content_disposition(header, name):
    assert names.from_disposition(header) == name
