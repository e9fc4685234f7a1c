"""A probe is checked before anything is sent."""

import pytest

from pavics_affinity.errors import InvalidRequest
from pavics_affinity.proxy.probe import Plan
from pavics_affinity.proxy.probe.plan import asked_url, spellings

URL = "http://proxy.example:58093/wps"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"urls": []}, "0 URLs"),
        ({"urls": ["proxy.example/wps"]}, "no http or https URL"),
        ({"urls": ["file:///etc/passwd"]}, "no http or https URL"),
        ({"urls": ["http://ann:secret@proxy.example/wps"]}, "leave them out"),
        ({"urls": [f"{URL}?service=WPS&REQUEST=execute&identifier=x"]}, "executes a process"),
        ({"urls": [f"{URL}?request=%45xecute"]}, "executes a process"),
        ({"header": "machine id"}, "header = 'machine id'"),
        ({"header": "Host"}, "header = 'Host'"),
        ({"header": "a\r\nb"}, "header ="),
        ({"evidence": "Content-Type"}, "evidence = 'Content-Type'"),
        ({"ids": 1}, "ids = 1"),
        ({"requests": 1000}, "requests = 1000"),
        ({"timeout": 0}, "timeout = 0"),
        ({"timeout": float("nan")}, "timeout = nan"),
    ],
)
def test_what_cannot_be_asked_is_refused(options, words):
    with pytest.raises(InvalidRequest, match=words) as caught:
        Plan(**{"urls": [URL], **options})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        (URL, f"{URL}?service=WPS&request=GetCapabilities"),
        (f"{URL}?map=a%20b#x", f"{URL}?map=a%20b&service=WPS&request=GetCapabilities"),
        (f"{URL}?Request=DescribeProcess&x=1", f"{URL}?Request=DescribeProcess&x=1"),
    ],
)
def test_a_service_is_asked_for_its_capabilities(url, asked):
    assert asked_url(url) == asked


@pytest.mark.parametrize(
    ("header", "others"),
    [
        ("machineid", ["machine-id", "machine_id"]),
        ("machine_id", ["machine-id", "machineid"]),
        ("Machine-Id", ["machine-id", "machine_id"]),
        ("x_key", ["x-key", "xkey"]),
        ("key", []),
    ],
)
def test_other_spellings_of_a_header(header, others):
    assert spellings(header) == others
