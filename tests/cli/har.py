"""usage: har.py send SOCKET N - sends N requests with bodies of all kinds, which the target sends back (backend.py)
       har.py check FILE N      - holds a HAR file against the schema, and its bodies against those"""

import base64
import http.client
import json
import os
import socket
import sys

import jsonschema


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def body(i):
    kinds = [b"", b"plain %d\r\n" % i, "é€😀 \t\"\\".encode() * (i + 1), bytes(range(256)) * 3, b"\xff" * i, b"\0", b"\x1b[31m", b"{\"a\":1}"]
    return kinds[i % len(kinds)]


def send(path, n):
    connection = UnixConnection(path)
    for i in range(n):
        connection.request("POST", f"/r/{i}?i={i}&t=a%20b", body(i), {"Cookie": "planted-cookie", "X-Mine": "planted-mine"})
        answer = connection.getresponse().read()
        assert answer.endswith(body(i)), answer


def content_of(holder, encoding):
    text = holder.get("text", "")
    return base64.b64decode(text, validate=True) if holder.get(encoding) == "base64" else text.encode()


def check(path, n):
    with open(path, encoding="utf-8") as file:
        har = json.load(file)
    with open(os.path.join(os.path.dirname(__file__), "har_schema.json"), encoding="utf-8") as file:
        jsonschema.Draft202012Validator(json.load(file)).validate(har)
    entries = har["log"]["entries"]
    assert len(entries) == n, len(entries)
    for i, entry in enumerate(entries):
        request, response, timings = entry["request"], entry["response"], entry["timings"]
        assert request["url"] == f"http://localhost/r/{i}?i={i}&t=a%20b", request["url"]
        assert request["queryString"] == [{"name": "i", "value": str(i)}, {"name": "t", "value": "a b"}]
        assert request["bodySize"] == len(body(i))
        assert content_of(request.get("postData", {}), "_encoding") == body(i), (i, request)
        assert content_of(response["content"], "encoding").endswith(body(i)), (i, response)
        assert response["content"]["size"] == response["bodySize"] == len(content_of(response["content"], "encoding"))
        spent = sum(timings[name] for name in ("connect", "send", "wait", "receive") if timings[name] > 0)
        assert abs(spent - entry["time"]) < 0.01, entry
    print("good")


if __name__ == "__main__":
    {"send": send, "check": check}[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
