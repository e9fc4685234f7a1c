"""Small WPS documents, as PyWPS and older servers write them."""

from __future__ import annotations

NAMESPACES = (
    'xmlns:wps="http://www.opengis.net/wps/1.0.0" xmlns:ows="http://www.opengis.net/ows/1.1" '
    'xmlns:xlink="http://www.w3.org/1999/xlink" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
)


def capabilities(*processes: str) -> bytes:
    offered = "".join(
        f'<wps:Process wps:processVersion="1.0"><ows:Identifier>{p}</ows:Identifier>'
        f"<ows:Title>The {p}</ows:Title>"
        f'<ows:Metadata xlink:title="Manual" xlink:href="http://example.org/{p}"/></wps:Process>'
        for p in processes
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<!-- a comment -->
<wps:Capabilities service="WPS" version="1.0.0" xml:lang="en-US" updateSequence="1" {NAMESPACES}>
  <ows:ServiceIdentification><ows:Title>Löcal</ows:Title><ows:Abstract>For tests</ows:Abstract>
    <ows:Keywords><ows:Keyword>WPS</ows:Keyword></ows:Keywords>
    <ows:ServiceType>WPS</ows:ServiceType><ows:ServiceTypeVersion>1.0.0</ows:ServiceTypeVersion>
    <ows:Fees>None</ows:Fees><ows:AccessConstraints>none</ows:AccessConstraints>
  </ows:ServiceIdentification>
  <ows:ServiceProvider><ows:ProviderName>Us</ows:ProviderName>
    <ows:ProviderSite xlink:href="http://example.org"/>
    <ows:ServiceContact><ows:IndividualName>She</ows:IndividualName></ows:ServiceContact>
  </ows:ServiceProvider>
  <ows:OperationsMetadata><ows:Operation name="GetCapabilities"><ows:DCP><ows:HTTP>
    <ows:Get xlink:href="http://example.org/wps"/></ows:HTTP></ows:DCP></ows:Operation>
  </ows:OperationsMetadata>
  <wps:ProcessOfferings>{offered}</wps:ProcessOfferings>
  <wps:Languages><wps:Default><ows:Language>en-US</ows:Language></wps:Default>
    <wps:Supported><ows:Language>en-US</ows:Language><ows:Language>fr-CA</ows:Language>
    </wps:Supported></wps:Languages>
</wps:Capabilities>""".encode()


def literal(
    name: str, kind: str = "string", *, inner: str = "", low: int = 0, high: int = 1
) -> str:
    return (
        f'<Input minOccurs="{low}" maxOccurs="{high}"><ows:Identifier>{name}</ows:Identifier>'
        f"<ows:Title>{name}</ows:Title><LiteralData>"
        f'<ows:DataType ows:reference="http://www.w3.org/TR/xmlschema-2/#{kind}">{kind}'
        f"</ows:DataType>{inner or '<ows:AnyValue/>'}</LiteralData></Input>"
    )


def complex_(name: str, *, low: int = 0, high: int = 1) -> str:
    one = "<Format><MimeType>text/plain</MimeType><Encoding/><Schema/></Format>"
    return (
        f'<Input minOccurs="{low}" maxOccurs="{high}"><ows:Identifier>{name}</ows:Identifier>'
        f'<ows:Title>{name}</ows:Title><ComplexData maximumMegabytes="3"><Default>{one}</Default>'
        f"<Supported>{one}</Supported></ComplexData></Input>"
    )


def bbox(name: str) -> str:
    return (
        f'<Input minOccurs="0" maxOccurs="1"><ows:Identifier>{name}</ows:Identifier>'
        f"<ows:Title>{name}</ows:Title><BoundingBoxData><Default><CRS>epsg:4326</CRS></Default>"
        "<Supported><CRS>epsg:4326</CRS></Supported></BoundingBoxData></Input>"
    )


def description(
    identifier: str,
    inputs: str = "",
    outputs: tuple[str, ...] = ("output",),
    *,
    flags: str = 'storeSupported="true" statusSupported="true"',
) -> bytes:
    given = "".join(
        f"<Output><ows:Identifier>{o}</ows:Identifier><ows:Title>{o}</ows:Title><ComplexOutput>"
        "<Default><Format><MimeType>text/plain</MimeType></Format></Default><Supported><Format>"
        "<MimeType>text/plain</MimeType></Format></Supported></ComplexOutput></Output>"
        for o in outputs
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<wps:ProcessDescriptions service="WPS" version="1.0.0" xml:lang="en-US" {NAMESPACES}>
  <ProcessDescription wps:processVersion="1.0" {flags}>
    <ows:Identifier>{identifier}</ows:Identifier><ows:Title>{identifier}</ows:Title>
    <ows:Abstract>What it does</ows:Abstract>
    <DataInputs>{inputs}</DataInputs><ProcessOutputs>{given}</ProcessOutputs>
  </ProcessDescription>
</wps:ProcessDescriptions>""".encode()


STARTED = '<wps:ProcessStarted percentCompleted="42">half way</wps:ProcessStarted>'
ACCEPTED = "<wps:ProcessAccepted>queued</wps:ProcessAccepted>"
SUCCEEDED = "<wps:ProcessSucceeded>done</wps:ProcessSucceeded>"


def failed(text: str, code: str = "NoApplicableCode", locator: str = "None") -> str:
    return f"<wps:ProcessFailed>{report(text, code, locator).decode()}</wps:ProcessFailed>"


def report(text: str, code: str = "NoApplicableCode", locator: str = "None") -> bytes:
    return (
        '<ows:ExceptionReport xmlns:ows="http://www.opengis.net/ows/1.1" version="1.0.0">'
        f'<ows:Exception exceptionCode="{code}" locator="{locator}">'
        f"<ows:ExceptionText>{text}</ows:ExceptionText></ows:Exception></ows:ExceptionReport>"
    ).encode()


def twitcher_report(text: str) -> bytes:
    """As Twitcher 0.11 writes it; the answer is 400."""
    return f"""\
<?xml version="1.0" encoding="utf-8"?>
<ExceptionReport version="1.0.0"
    xmlns="http://www.opengis.net/ows/1.1"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    xsi:schemaLocation="http://www.opengis.net/ows/1.1 http://schemas.opengis.net/ows/1.1.0/owsExceptionReport.xsd">
    <Exception exceptionCode="NoApplicableCode" locator="NotAcceptable">
        <ExceptionText>{text}</ExceptionText>
    </Exception>
</ExceptionReport>""".encode()


def output(name: str, content: str) -> str:
    return (
        f"<wps:Output><ows:Identifier>{name}</ows:Identifier><ows:Title>{name}</ows:Title>"
        f"{content}</wps:Output>"
    )


def reference(url: str, name: str = "output", mimetype: str = "text/plain") -> str:
    return output(
        name, f'<wps:Reference xlink:href="{url}" mimeType="{mimetype}" encoding="" schema=""/>'
    )


def embedded(text: str, name: str = "output", attributes: str = 'mimeType="text/plain"') -> str:
    data = f"<wps:ComplexData {attributes}>{text}</wps:ComplexData>"
    return output(name, f"<wps:Data>{data}</wps:Data>")


def response(
    status: str, outputs: str = "", *, location: str | None = None, lineage: str = ""
) -> bytes:
    at = f'statusLocation="{location}"' if location else ""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<wps:ExecuteResponse service="WPS" version="1.0.0" xml:lang="en-US" {at}
  serviceInstance="http://example.org/wps?request=GetCapabilities&amp;service=WPS" {NAMESPACES}>
  <wps:Process wps:processVersion="1.0"><ows:Identifier>step</ows:Identifier>
    <ows:Title>A step</ows:Title></wps:Process>
  <wps:Status creationTime="2024-05-01T10:00:00Z">{status}</wps:Status>
  {lineage}
  <wps:ProcessOutputs>{outputs}</wps:ProcessOutputs>
</wps:ExecuteResponse>""".encode()
