"""File names that a server gives are cleaned."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pavics_affinity.clients.outputs import names


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
        # scripts, whose query names the file
        ("http://h/download.php?file=x.nc", "x.nc"),
        ("http://h/wps.cgi?session=1&file=..%2Fx.nc", "x.nc"),
        (
            "http://h/RetrieveResultServlet?id=13185OUTPUT.601bb3d0-547f",
            "13185OUTPUT.601bb3d0-547f",
        ),
        ("http://h/get?version=1.0.0&name=x.tif", "x.tif"),
        ("http://h/x.py", "x.py"),
        ("http://h/subset.nc?token=a.b", "subset.nc"),
        # operations of OGC services, whose parameters name no file
        ("http://h/geoserver/ows?service=WPS&request=GetExecutionResult&outputId=result", ""),
        ("http://h/ows?REQUEST=GetOutput&SERVICE=WPS", ""),
        ("http://h/subset.nc;jsessionid=A1B2", "subset.nc"),
        ("http://h/a;b.nc", "a;b.nc"),
        ("http://h/a%3Bb%22c%25.nc", "a;b_c%.nc"),
        ("http://[::1/x.nc", ""),
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
        # charsets that are not for text are read as UTF-8
        ("attachment; filename*=idna''%ff.x..a", "\ufffd.x..a"),
        ("attachment; filename*=undefined''a", "a"),
        ("attachment; filename*=punycode''%ff", "\ufffd"),
        ("attachment; filename*=utf-8''%zz%ff.nc", "%zz\ufffd.nc"),
        ("attachment; filename*=base64''aaa", "aaa"),
        (f"attachment; filename*{'9' * 5000}=a", ""),
        ("attachment; filename*=\0''a", ""),
        ("attachment; filename=\ud800.nc", ""),
        ("inline", ""),
        ('attachment; filename="a;b.nc"', "a;b.nc"),
        ("attachment; filename=a b.nc", "a b.nc"),
        ("attachment; filename=x.nc;", "x.nc"),
        ('filename="x.nc"', "x.nc"),
        ('attachment; FileName = "x.nc"', "x.nc"),
        ('attachment; filename="x.nc', "x.nc"),
        (r'attachment; filename="a\"b.nc"', "a_b.nc"),
        ('attachment; filename="50%25.nc"', "50%.nc"),
        ("attachment; filename=\"x.nc\"; filename*=UTF-8''%C3%A9t%C3%A9.nc", "été.nc"),
        ("attachment; filename*=UTF-8'fr'%C3%A9t%C3%A9.nc; filename=x.nc", "été.nc"),
        ("attachment; filename*=iso-8859-1''%E9.nc", "é.nc"),
        ("attachment; filename*=UTF-8''..%2F..%2Fx.nc", "x.nc"),
        ("attachment; filename*=UTF-8''%ff.nc", "\ufffd.nc"),
        # where it cannot be decoded, the plain name counts
        ("attachment; filename*=UTF-8''%ff.nc; filename=x.nc", "x.nc"),
        ("attachment; filename=\"x y.nc\"; filename*=UTF-8''%e9t%e9.nc", "x y.nc"),
        ("attachment; filename*=UTF-8''; filename=x.nc", "x.nc"),
        ("attachment; filename*=naive.nc; filename=x.nc", "x.nc"),
        ("attachment; filename*=naive.nc", "naive.nc"),
        ("a; filename*=b; filename*1*=", ""),
        ("attachment; filename==?utf-I \xe0?b?w6kubmM=?=", "=_utf-I à_b_w6kubmM=_="),
        ('attachment; filename*0="a"; filename*1="b.nc"', "ab.nc"),
        # UTF-8 as HTTP libraries read it, and Latin-1 as it is
        (f'attachment; filename="{"été.nc".encode().decode("latin-1")}"', "été.nc"),
        ('attachment; filename="été.nc"', "été.nc"),
        ('attachment; filename="=?UTF-8?B?w6l0w6kubmM=?="', "été.nc"),
        ('attachment; filename="=?UTF-8?B?x"', "=_UTF-8_B_x"),
        ("attachment; filename*=idna''x", "x"),
        ("attachment; filename*0*=idna''x; filename*1=y", ""),
        (f"attachment; filename*{'9' * 5000}=x.nc", ""),
    ],
)
def test_the_name_of_a_content_disposition(header, name):
    assert names.from_disposition(header) == name
