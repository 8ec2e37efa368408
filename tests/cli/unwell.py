"""An endpoint that does as it is told: unwell.py ADDRESS MODE-FILE [CERTIFICATE]. ADDRESS is the path of a Unix socket or a TCP port
(with a file that has certificate and key: https). The file says how requests are met, in a word, and how those for /_ping are
in another: a status, `silent` (no answer), `close` (without one). It is read for each. Says the path of each request."""

import http.server
import socketserver
import ssl
import sys
import time


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        print(self.path, self.headers.get("Host"), flush=True)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with open(sys.argv[2]) as file:
            words = file.read().split()
        word = words[-1 if self.path.startswith("/_ping") else 0]
        if word == "silent":
            time.sleep(600)
        if not word.isdigit():
            self.close_connection = True
            return
        self.send_response(int(word))
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"well\n")

    do_GET = do_POST = answer

    def address_string(self):
        return "peer"

    def log_message(self, *arguments):
        pass


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 1024


class TcpServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 1024
    allow_reuse_address = True


def main():
    if not sys.argv[1].isdigit():
        return UnixServer(sys.argv[1], Handler).serve_forever()
    server = TcpServer(("127.0.0.1", int(sys.argv[1])), Handler)
    if len(sys.argv) > 3:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[3])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


main()
