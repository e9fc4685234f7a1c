"""birdy sends the client's headers with an Execute, and not with what `get(asobj=True)` fetches."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from birdy.client.converters import convert
from owslib.wps import WebProcessingService

DONE = """<wps:ExecuteResponse service="WPS" version="1.0.0"
 xmlns:wps="http://www.opengis.net/wps/1.0.0" xmlns:ows="http://www.opengis.net/ows/1.1"
 xmlns:xlink="http://www.w3.org/1999/xlink">
<wps:Process><ows:Identifier>p</ows:Identifier><ows:Title>p</ows:Title></wps:Process>
<wps:Status><wps:ProcessSucceeded/></wps:Status><wps:ProcessOutputs><wps:Output>
<ows:Identifier>out</ows:Identifier><ows:Title>out</ows:Title>
<wps:Reference xlink:href="{}/out.txt" mimeType="text/plain"/>
</wps:Output></wps:ProcessOutputs></wps:ExecuteResponse>"""


class Server(BaseHTTPRequestHandler):
    def do_GET(self):
        print("GET with machineid", self.headers.get("machineid"))
        self.answer(b"data")

    def do_POST(self):
        print("POST with machineid", self.headers.get("machineid"))
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(DONE.format(url).encode())

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"

wps = WebProcessingService(url, headers={"machineid": "a1b2"}, skip_caps=True)
execution = wps.execute("p", [])
convert(execution.processOutputs[0], path=".")
