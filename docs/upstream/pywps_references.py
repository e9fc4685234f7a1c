"""PyWPS takes a 404 page for data, and answers HTTP 500 to a header of a reference."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from pywps import ComplexInput, Format, LiteralOutput, Process, Service, configuration
from werkzeug.test import Client

EXECUTE = """<wps:Execute service="WPS" version="1.0.0"
 xmlns:wps="http://www.opengis.net/wps/1.0.0" xmlns:ows="http://www.opengis.net/ows/1.1"
 xmlns:xlink="http://www.w3.org/1999/xlink"><ows:Identifier>count</ows:Identifier>
<wps:DataInputs><wps:Input><ows:Identifier>text</ows:Identifier>
<wps:Reference xlink:href="{}/a.txt">{}</wps:Reference></wps:Input></wps:DataInputs>
</wps:Execute>"""


class Count(Process):
    def __init__(self):
        text = ComplexInput("text", "text", [Format("text/plain")])
        words = LiteralOutput("words", "words", data_type="integer")
        super().__init__(self.count, "count", "count", inputs=[text], outputs=[words])

    @staticmethod
    def count(request, response):
        response.outputs["words"].data = len(request.inputs["text"][0].data.split())


class NotFound(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(404)
        self.end_headers()
        self.wfile.write(b"not found on this server")

    def log_message(self, *words):
        pass


server = HTTPServer(("127.0.0.1", 0), NotFound)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"

configuration.load_configuration()
configuration.CONFIG.set("logging", "level", "ERROR")
client = Client(Service([Count()]))
for header in ("", '<wps:Header key="machineid" value="a1b2"/>'):
    answer = client.post("/wps", data=EXECUTE.format(url, header), content_type="text/xml")
    counted = "5</wps:LiteralData>" in answer.text
    print(f"{header or 'no header'}: HTTP {answer.status_code}, 5 words counted: {counted}")
