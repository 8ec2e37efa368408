"""A target on a Unix socket. /slow/MS answers after so long, /held/NAME once there is a file NAME beside the socket, /status/N
with that status, /most with how many were under way at once so far, /fields with the fields of the request, /endless without an end, /rubbish with what is no HTTP; everything else is echoed, with the status of the second argument. Says the path of each
request when it has read its head."""

import os
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    lock = threading.Lock()
    running = most = 0

    def answer(self):
        sys.stdout.write(self.path + "\n")  # in one piece: there are several threads
        sys.stdout.flush()
        parts = self.path.split("/")
        if parts[1] in ("endless", "rubbish"):
            return self.misbehave(parts[1])
        # Before the answer is sent: who has it may send the next request.
        with Handler.lock:
            Handler.running += 1
            Handler.most = max(Handler.most, Handler.running)
        try:
            status, body = self.think(parts)
        finally:
            with Handler.lock:
                Handler.running -= 1
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", "http://192.0.2.1/")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def think(self, parts):
        """Status and body."""
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if parts[1] == "slow":
            time.sleep(int(parts[2]) / 1000)
        elif parts[1] == "held":
            while not os.path.exists(os.path.join(os.path.dirname(sys.argv[1]), parts[2])):
                time.sleep(0.01)
        elif parts[1] == "most":
            return 200, b"%d\n" % Handler.most
        status = int(parts[2]) if parts[1] == "status" else int(sys.argv[2]) if len(sys.argv) > 2 else 200
        if parts[1] == "fields":
            return status, "".join(f"{name.lower()}={value}\n" for name, value in self.headers.items()).encode()
        return status, b"%s %s\n" % (self.command.encode(), self.path.encode()) + sent

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
