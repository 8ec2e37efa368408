"""A target on a Unix socket. /slow/MS answers after so long, /held/NAME once there is a file NAME beside the socket, /status/N
with that status, /fields with the fields of the request, /endless without an end, /rubbish with what is no HTTP; everything else is echoed. Says the path of each
request when it has read its head."""

import os
import socketserver
import sys
import time
from http.server import BaseHTTPRequestHandler


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        print(self.path, flush=True)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status = 200
        parts = self.path.split("/")
        if parts[1] == "slow":
            time.sleep(int(parts[2]) / 1000)
        elif parts[1] == "held":
            while not os.path.exists(os.path.join(os.path.dirname(sys.argv[1]), parts[2])):
                time.sleep(0.01)
        elif parts[1] == "status":
            status = int(parts[2])
        elif parts[1] in ("endless", "rubbish"):
            return self.misbehave(parts[1])
        body = b"%s %s\n" % (self.command.encode(), self.path.encode()) + body
        if parts[1] == "fields":
            body = "".join(f"{name.lower()}={value}\n" for name, value in self.headers.items()).encode()
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", "http://192.0.2.1/")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def misbehave(self, how):
        self.close_connection = True
        if how == "rubbish":
            self.wfile.write(b"220 smtp ready\r\n")
            return
        self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                self.wfile.write(b"y\n" * 1024)
        except OSError:
            pass

    do_GET = do_POST = answer

    def address_string(self):
        return "unix"

    def log_message(self, *arguments):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 1024


Server(sys.argv[1], Handler).serve_forever()
