"""Chains in which the output URL of one step is the input of the next, with real NetCDF."""

from __future__ import annotations

from owslib.wps import ComplexDataInput

from pavics_affinity import WebProcessingService

BOX = {"lon0": -100.0, "lon1": -60.0, "lat0": 30.0, "lat1": 60.0}
INNER = {"lon0": -90.0, "lon1": -70.0, "lat0": 40.0, "lat1": 50.0}


def by_owslib(cluster, wf, make, give):
    malleefowl, flyingpigeon = (make(cluster.url(s)) for s in ("malleefowl", "flyingpigeon"))
    got = malleefowl.execute("download", [("resource", cluster.sample_url)]).wait()
    [path] = got.output("output").json()
    first = flyingpigeon.execute("subset_bbox", [("resource", path), *BOX.items()]).wait()
    resource = give(first.output("output"))
    second = flyingpigeon.execute("subset_bbox_complex", [("resource", resource), *INNER.items()])
    return second.wait().output("output")


def by_birdy(cluster, wf, make, give):
    malleefowl, flyingpigeon = (make(cluster.url(s)) for s in ("malleefowl", "flyingpigeon"))
    [path] = malleefowl.download(cluster.sample_url).get(asobj=True).output
    first = flyingpigeon.subset_bbox(resource=path, **BOX).wait()
    resource = give(first.output("output"))
    return flyingpigeon.subset_bbox_complex(resource=resource, **INNER).wait().output("output")


def drop_in(wf):
    from pavics_affinity import WPSClient

    return WPSClient


CLIENTS = {
    "wps": (by_owslib, lambda wf: wf.wps),
    "drop-in": (by_owslib, lambda wf: WebProcessingService),
    "birdy": (by_birdy, lambda wf: wf.birdy),
    "birdy-drop-in": (by_birdy, drop_in),
}
GIVEN = {
    "output": lambda output: output,
    "url": lambda output: output.reference,
    "complex": lambda output: ComplexDataInput(output.reference, mimeType="application/x-netcdf"),
}
