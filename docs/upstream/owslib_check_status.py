"""OWSLib polls a status document that is lost as fast as it can, and never says so."""

import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

from owslib.wps import WebProcessingService

ACCEPTED = """<wps:ExecuteResponse service="WPS" version="1.0.0" statusLocation="{}/status.xml"
 xmlns:wps="http://www.opengis.net/wps/1.0.0" xmlns:ows="http://www.opengis.net/ows/1.1">
<wps:Process><ows:Identifier>p</ows:Identifier><ows:Title>p</ows:Title></wps:Process>
<wps:Status><wps:ProcessAccepted/></wps:Status></wps:ExecuteResponse>"""


class Server(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(404, b"not found")

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, ACCEPTED.format(url).encode())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"

execution = WebProcessingService(url, skip_caps=True).execute("p", [])
started = time.monotonic()
for _ in range(10):
    execution.checkStatus(sleepSecs=60)
print("10 polls, of 60 s each, took less than 60 s:", time.monotonic() - started < 60)
print("status:", execution.status, "errors:", execution.errors)
