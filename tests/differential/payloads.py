"""What is sent through the three programs: REQUESTS by a client, RESPONSES by an origin. Only data, and what
shortens it."""

from dataclasses import dataclass

REQUESTS, RESPONSES = {}, {}

CLOSE = b"Connection: close\r\n"


@dataclass
class Request:
    """Parts are sent one after the other, each when something has come back since the last, or after a while."""

    parts: list
    to_head: bool = False  # the answers have no content
    half_close: bool = False  # the client ends its direction behind the last part


@dataclass
class Response:
    """What the origin answers with, once it has the request (early: its head)."""

    answer: bytes
    request: bytes
    close: bool = False  # the origin ends the connection behind it
    to_head: bool = False
    early: bool = False


def request(name, *parts, **flags):
    assert name not in REQUESTS, name
    REQUESTS[name] = Request(list(parts), **flags)


def get(name, fields=b"", target=b"/", method=b"GET", version=b"HTTP/1.1", host=b"Host: example\r\n", **flags):
    """A request without a body: `fields` is raw lines."""
    request(name, method + b" " + target + b" " + version + b"\r\n" + host + fields + CLOSE + b"\r\n", **flags)


def post(name, framing, body=b"", *parts, **flags):
    request(name, b"POST /p HTTP/1.1\r\nHost: example\r\n" + framing + CLOSE + b"\r\n" + body, *parts, **flags)


def chunked(name, body, *parts, fields=b"", **flags):
    post(name, fields + b"Transfer-Encoding: chunked\r\n", body, *parts, **flags)


# ---- methods ----
for method in "GET DELETE OPTIONS PATCH PROPFIND QUERY M-SEARCH get G X!#$%&'*+-.^_~9".split():
    get(f"method {method}", method=method.encode())
get("method HEAD", method=b"HEAD", to_head=True)
get("method TRACE", method=b"TRACE")
get("method CONNECT, authority-form", method=b"CONNECT", target=b"example:80", host=b"Host: example:80\r\n")
get("method CONNECT, origin-form", method=b"CONNECT")
get("method with a slash", method=b"GE/T")
get("method with a control byte", method=b"GE\x01T")
get("method with obs-text", method=b"G\xc9T")
get("method empty", method=b"")
get("method of 300 letters", method=b"A" * 300)

# ---- request-targets ----
TARGETS = {
    "plain": b"/a/b?c=d",
    "dots and escapes": b"/a/./b/../c%2e%2E/%2F%5c",
    "empty segments": b"//a///b//",
    "empty query": b"/?",
    "two question marks": b"/a?b?c",
    "encoded NUL": b"/a%00b",
    "bad escapes": b"/%zz%4%",
    "characters outside of RFC 3986": b"/a|b\\c^d`e{f}\"<>",
    "obs-text": b"/caf\xc3\xa9",
    "semicolons": b"/a;b=c/..;/d",
    "fragment": b"/a#b",
    "of 4000 letters": b"/" + b"a" * 4000,
    "of 9000 letters": b"/" + b"a" * 9000,
    "of 20000 letters": b"/" + b"a" * 20000,
    "asterisk": b"*",
    "no slash": b"a/b",
    "only a query": b"?a",
    "absolute-form": b"http://example/a?b",
    "absolute-form without a path": b"http://example",
    "absolute-form, only a query": b"http://example?q",
    "absolute-form, another host": b"http://other:8080/a",
    "absolute-form, https": b"https://example/a",
    "absolute-form, HTTP in capitals": b"HTTP://EXAMPLE/a",
    "absolute-form, userinfo": b"http://user:secret@example/a",
    "absolute-form, no authority": b"http:///a",
    "absolute-form, ftp": b"ftp://example/a",
    "absolute-form, IPv6": b"http://[::1]:80/a",
    "absolute-form, bad port": b"http://example:99999/a",
    "authority-form": b"example:80",
    "control byte": b"/a\x01b",
    "DEL": b"/a\x7fb",
    "NUL": b"/a\x00b",
    "horizontal tab": b"/a\tb",
    "space": b"/a b",
}
for name, target in TARGETS.items():
    get(f"target {name}", target=target)
get("target asterisk, OPTIONS", target=b"*", method=b"OPTIONS")
get("target absolute-form without a path, OPTIONS", target=b"http://example", method=b"OPTIONS")
get("target asterisk with a query, OPTIONS", target=b"*?a", method=b"OPTIONS")

# ---- request lines and versions ----
for version in "HTTP/1.2 HTTP/1.10 HTTP/2.0 HTTP/0.9 HTTP/01.1 http/1.1 HTTP/1,1 HTTPS/1.1 HTTP/1.1x".split():
    get(f"version {version}", version=version.encode())
get("version HTTP/1.1SP", version=b"HTTP/1.1 ")
request("line of HTTP/0.9", b"GET /\r\n")
get("line with two spaces before the target", target=b" /")
get("line with two spaces before the version", version=b" HTTP/1.1")
get("line with tabs for spaces", method=b"GET\t/\t", target=b"", version=b"HTTP/1.1")
get("line with a space in front", method=b" GET")
request("line behind one empty line", b"\r\nGET / HTTP/1.1\r\nHost: example\r\nConnection: close\r\n\r\n")
request("line behind three empty lines", b"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: example\r\nConnection: close\r\n\r\n")
request("line behind a bare LF", b"\nGET / HTTP/1.1\r\nHost: example\r\nConnection: close\r\n\r\n")
request("line ended by LF", b"GET / HTTP/1.1\nHost: example\r\nConnection: close\r\n\r\n")
request("line ended by CR", b"GET / HTTP/1.1\rHost: example\r\nConnection: close\r\n\r\n")
request("line of TLS", b"\x16\x03\x01\x00\x05hello\r\n\r\n")
request("line of the HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
request("head that never ends", b"GET / HTTP/1.1\r\nHost: example\r\n")
request("head in two pieces", b"GET / HTTP/1.1\r\nHo", b"st: example\r\nConnection: close\r\n\r\n")
request("head with nothing in it", b"\r\n\r\n")
request("head ended by half-close", b"GET / HTTP/1.1\r\nHost: example\r\nConnection: close\r\n\r\n", half_close=True)

# ---- Host ----
HOSTS = {
    "missing": b"",
    "empty": b"Host:\r\n",
    "twice": b"Host: example\r\nHost: example\r\n",
    "twice, different": b"Host: example\r\nHost: other\r\n",
    "a list": b"Host: example, other\r\n",
    "with a port": b"Host: example:8080\r\n",
    "with an empty port": b"Host: example:\r\n",
    "with a bad port": b"Host: example:http\r\n",
    "with port 65536": b"Host: example:65536\r\n",
    "in capitals": b"HOST: EXAMPLE\r\n",
    "IPv4": b"Host: 127.0.0.1\r\n",
    "IPv6": b"Host: [::1]:80\r\n",
    "IPv6 without brackets": b"Host: ::1\r\n",
    "IPv6 unclosed": b"Host: [::1\r\n",
    "with userinfo": b"Host: user@example\r\n",
    "with a path": b"Host: example/a\r\n",
    "with a space": b"Host: exa mple\r\n",
    "with an underscore": b"Host: exa_mple\r\n",
    "with a trailing dot": b"Host: example.\r\n",
    "with an escape": b"Host: ex%61mple\r\n",
    "with obs-text": b"Host: ex\xc3\xa4mple\r\n",
    "only a port": b"Host: :80\r\n",
    "path of a socket": b"Host: /run/app.sock\r\n",
    "in angle brackets": b"Host: <example>\r\n",
}
for name, host in HOSTS.items():
    get(f"Host {name}", host=host)

# ---- field lines ----
FIELDS = {
    "empty": b"X-A:\r\n",
    "only spaces": b"X-A:   \t \r\n",
    "repeated": b"X-A: 1\r\nX-B: 2\r\nx-a: 3\r\n",
    "without a space behind the colon": b"X-A:1\r\n",
    "with spaces around the value": b"X-A:  \t 1 2 \t\r\n",
    "with obs-text": b"X-A: caf\xe9\r\n",
    "with a tab inside": b"X-A: 1\t2\r\n",
    "with a control byte": b"X-A: 1\x012\r\n",
    "with DEL": b"X-A: 1\x7f2\r\n",
    "with a bare CR": b"X-A: 1\r2\r\n",
    "with a NUL": b"X-A: 1\x002\r\n",
    "ended by LF": b"X-A: 1\nX-B: 2\r\n",
    "folded": b"X-A: 1\r\n 2\r\n",
    "folded as the first": b" X-A: 1\r\n",
    "with a space before the colon": b"X-A : 1\r\n",
    "without a colon": b"X-A\r\n",
    "without a name": b": 1\r\n",
    "name with an underscore": b"X_A: 1\r\n",
    "name with odd token characters": b"X!#$%&'*+-.^`|~: 1\r\n",
    "name with a dot": b"X.A: 1\r\n",
    "name with brackets": b"X[A]: 1\r\n",
    "name with obs-text": b"X-\xe9: 1\r\n",
    "name with a space": b"X A: 1\r\n",
    "name with a NUL": b"X\x00A: 1\r\n",
    "of 5000 bytes": b"X-A: " + b"a" * 5000 + b"\r\n",
    "of 9000 bytes": b"X-A: " + b"a" * 9000 + b"\r\n",
    "of 40000 bytes": b"X-A: " + b"a" * 40000 + b"\r\n",
    "90 times": b"".join(b"X-%d: 1\r\n" % i for i in range(90)),
    "120 times": b"".join(b"X-%d: 1\r\n" % i for i in range(120)),
    "Cookie twice": b"Cookie: a=1\r\nCookie: b=2\r\n",
    "Authorization": b"Authorization: Basic dTpw\r\n",
    "Proxy-Authorization": b"Proxy-Authorization: Basic dTpw\r\n",
    "Range and If-Range": b'Range: bytes=0-1\r\nIf-Range: "a"\r\n',
    "conditional": b'If-None-Match: "a"\r\nIf-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT\r\n',
    "Max-Forwards 0 with GET": b"Max-Forwards: 0\r\n",
    "Accept-Encoding": b"Accept-Encoding: gzip, br\r\n",
    "Via": b"Via: 1.0 fred\r\n",
    "Forwarded": b"Forwarded: for=192.0.2.1\r\n",
    "X-Forwarded-For": b"X-Forwarded-For: 192.0.2.1\r\n",
    "X-Request-Id": b"X-Request-Id: abc-123\r\n",
    "Trailer without a chunked body": b"Trailer: X-T\r\n",
}
for name, lines in FIELDS.items():
    get(f"field {name}", lines)
get("TRACE with Max-Forwards 0", b"Max-Forwards: 0\r\n", method=b"TRACE")
get("OPTIONS with Max-Forwards 0", b"Max-Forwards: 0\r\n", method=b"OPTIONS")
get("OPTIONS with Max-Forwards 5", b"Max-Forwards: 5\r\n", method=b"OPTIONS")

# ---- what belongs to one connection ----
WEBSOCKET = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
HOPS = {
    "Connection names a field": b"X-A: 1\r\nConnection: X-A\r\n",
    "Connection names Host": b"Connection: Host\r\n",
    "Connection names Authorization": b"Authorization: a\r\nConnection: authorization\r\n",
    "Connection names X-Forwarded-For": b"X-Forwarded-For: 192.0.2.1\r\nConnection: x-forwarded-for\r\n",
    "Connection with rubbish": b"Connection: a b, /\r\n",
    "Connection empty elements": b"Connection: , ,\r\n",
    "Keep-Alive": b"Keep-Alive: timeout=5\r\n",
    "Proxy-Connection": b"Proxy-Connection: keep-alive\r\n",
    "TE: trailers": b"TE: trailers\r\nConnection: TE\r\n",
    "TE: trailers without Connection": b"TE: trailers\r\n",
    "TE: gzip": b"TE: gzip;q=0.5\r\nConnection: TE\r\n",
    "Upgrade without Connection": b"Upgrade: websocket\r\n",
    "Upgrade: websocket": b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + WEBSOCKET,
    "Upgrade: h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    "Upgrade: two protocols": b"Connection: Upgrade\r\nUpgrade: foo/2, tcp\r\n",
}
for name, lines in HOPS.items():
    get(f"hop {name}", lines)
request(
    "hop Upgrade: websocket in HTTP/1.0",
    b"GET / HTTP/1.0\r\nHost: example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
)

# ---- Content-Length ----
LENGTHS = {
    "5": (b"5", b"hello"),
    "0": (b"0", b""),
    "with leading zeros": (b"0005", b"hello"),
    "with a plus": (b"+5", b"hello"),
    "negative": (b"-5", b"hello"),
    "hexadecimal": (b"0x5", b"hello"),
    "with a letter": (b"5a", b"hello"),
    "empty": (b"", b""),
    "a list of equals": (b"5, 5", b"hello"),
    "a list of differents": (b"5, 6", b"hello"),
    "with an inner space": (b"1 2", b"hello"),
    "2^63": (b"9223372036854775808", b"hello"),
    "2^64": (b"18446744073709551616", b"hello"),
    "shorter than the body": (b"3", b"hello"),
    "fraction": (b"5.0", b"hello"),
}
for name, (value, body) in LENGTHS.items():
    post(f"length {name}", b"Content-Length: " + value + b"\r\n", body)
post("length twice, equal", b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello")
post("length twice, different", b"Content-Length: 5\r\nContent-Length: 3\r\n", b"hello")
post("length missing with a body", b"", b"hello")
post("length longer than the body", b"Content-Length: 9\r\n", b"hello")
post("length longer than the body, half-close", b"Content-Length: 9\r\n", b"hello", half_close=True)
post("length in pieces", b"Content-Length: 10\r\n", b"hello", b"world")
get("length with GET", b"Content-Length: 0\r\n")
request(
    "length with a body of GET",
    b"GET / HTTP/1.1\r\nHost: example\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
)
post("length 100000", b"Content-Length: 100000\r\n", b"0123456789" * 10000)
post("length with a space before the colon", b"Content-Length : 5\r\n", b"hello")

# ---- Transfer-Encoding ----
HELLO = b"5\r\nhello\r\n0\r\n\r\n"
CODINGS = {
    "chunked in capitals": b"Transfer-Encoding: CHUNKED\r\n",
    "chunked with a space before the colon": b"Transfer-Encoding : chunked\r\n",
    "chunked twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "chunked, chunked": b"Transfer-Encoding: chunked, chunked\r\n",
    "identity": b"Transfer-Encoding: identity\r\nContent-Length: 15\r\n",
    "chunked, identity": b"Transfer-Encoding: chunked, identity\r\n",
    "gzip, chunked": b"Transfer-Encoding: gzip, chunked\r\n",
    "xchunked": b"Transfer-Encoding: xchunked\r\n",
    "chunked;a=b": b"Transfer-Encoding: chunked;a=b\r\n",
    'chunked in quotes': b'Transfer-Encoding: "chunked"\r\n',
    "chunked with a vertical tab": b"Transfer-Encoding: \x0bchunked\r\n",
    "chunked folded": b"Transfer-Encoding:\r\n chunked\r\n",
    "empty": b"Transfer-Encoding:\r\n",
    "comma chunked": b"Transfer-Encoding: , chunked\r\n",
    "chunked and Content-Length": b"Transfer-Encoding: chunked\r\nContent-Length: 15\r\n",
    "Content-Length and chunked": b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
}
for name, lines in CODINGS.items():
    post(f"coding {name}", lines, HELLO)
request(
    "coding chunked in HTTP/1.0",
    b"POST /p HTTP/1.0\r\nHost: example\r\nTransfer-Encoding: chunked\r\n\r\n" + HELLO,
)
request(
    "coding chunked with GET",
    b"GET /p HTTP/1.1\r\nHost: example\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + HELLO,
)

# ---- chunks ----
CHUNKS = {
    "two": b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    "none": b"0\r\n\r\n",
    "leading zeros": b"0005\r\nhello\r\n000\r\n\r\n",
    "capital digits": b"A\r\n0123456789\r\n0\r\n\r\n",
    "extension": b"5;a=b\r\nhello\r\n0;c\r\n\r\n",
    "extension in quotes": b'5;a="b;c"\r\nhello\r\n0\r\n\r\n',
    "extension behind a space": b"5 ; a\r\nhello\r\n0\r\n\r\n",
    "extension with LF": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "extension with bare CR": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "space behind the size": b"5 \r\nhello\r\n0\r\n\r\n",
    "space before the size": b" 5\r\nhello\r\n0\r\n\r\n",
    "size with 0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "size with a plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "size negative": b"-5\r\nhello\r\n0\r\n\r\n",
    "size empty": b"\r\nhello\r\n0\r\n\r\n",
    "size no number": b"z\r\nhello\r\n0\r\n\r\n",
    "size of 2^64 + 5": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "size ended by LF": b"5\nhello\r\n0\r\n\r\n",
    "data ended by LF": b"5\r\nhello\n0\r\n\r\n",
    "data too long": b"5\r\nhello!\r\n0\r\n\r\n",
    "data without CRLF": b"5\r\nhello0\r\n\r\n",
    "end by LF": b"5\r\nhello\r\n0\n\n",
    "no last chunk": b"5\r\nhello\r\n",
    "nothing behind the last chunk": b"5\r\nhello\r\n0\r\n",
    "trailer": b"5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
    "trailer of two fields": b"5\r\nhello\r\n0\r\nX-T: 1\r\nX-U: 2\r\n\r\n",
    "trailer with framing": b"5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n",
    "trailer with a credential": b"5\r\nhello\r\n0\r\nAuthorization: a\r\n\r\n",
    "trailer without a colon": b"5\r\nhello\r\n0\r\nrubbish\r\n\r\n",
    "trailer folded": b"5\r\nhello\r\n0\r\nX-T: 1\r\n 2\r\n\r\n",
    "trailer with LF": b"5\r\nhello\r\n0\r\nX-T: 1\n\r\n",
}
for name, body in CHUNKS.items():
    chunked(f"chunks {name}", body)
chunked("chunks trailer that was announced", CHUNKS["trailer"], fields=b"Trailer: X-T\r\n")
chunked("chunks in pieces", b"5\r\nhel", b"lo\r\n0\r\n", b"\r\n")

# ---- Expect ----
EXPECT = b"Expect: 100-continue\r\n"
post("expect and wait", EXPECT + b"Content-Length: 5\r\n", b"", b"hello")
post("expect and send at once", EXPECT + b"Content-Length: 5\r\n", b"hello")
chunked("expect with chunks", b"", HELLO, fields=EXPECT)
get("expect without a body", EXPECT)
post("expect in capitals", b"Expect: 100-Continue\r\nContent-Length: 5\r\n", b"", b"hello")
post("expect something else", b"Expect: something\r\nContent-Length: 5\r\n", b"hello")
post("expect twice", EXPECT + EXPECT + b"Content-Length: 5\r\n", b"hello")
request(
    "expect in HTTP/1.0",
    b"POST /p HTTP/1.0\r\nHost: example\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
)

# ---- HTTP/1.0 ----
request("1.0 plain", b"GET / HTTP/1.0\r\nHost: example\r\n\r\n")
request("1.0 without Host", b"GET / HTTP/1.0\r\n\r\n")
request("1.0 twice Host", b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n")
request("1.0 with a body", b"POST / HTTP/1.0\r\nHost: example\r\nContent-Length: 5\r\n\r\nhello")
request("1.0 with a body of no length", b"POST / HTTP/1.0\r\nHost: example\r\n\r\nhello")
request("1.0 absolute-form without Host", b"GET http://example/a HTTP/1.0\r\n\r\n")
request(
    "1.0 keep-alive, two requests",
    b"GET /1 HTTP/1.0\r\nHost: example\r\nConnection: keep-alive\r\n\r\nGET /2 HTTP/1.0\r\nHost: example\r\n\r\n",
)
request(
    "1.0 two requests without keep-alive",
    b"GET /1 HTTP/1.0\r\nHost: example\r\n\r\nGET /2 HTTP/1.0\r\nHost: example\r\n\r\n",
)

# ---- pipelining ----
ONE = b"GET /1 HTTP/1.1\r\nHost: example\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: example\r\nConnection: close\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
POST = b"POST /1 HTTP/1.1\r\nHost: example\r\n"
PIPELINES = {
    "three GETs": ONE + ONE + LAST,
    "POST with a length, GET": POST + b"Content-Length: 5\r\n\r\nhello" + LAST,
    "POST with chunks, GET": POST + b"Transfer-Encoding: chunked\r\n\r\n" + HELLO + LAST,
    "POST with trailers, GET": POST + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS["trailer"] + LAST,
    "GET with a body, GET": b"GET /1 HTTP/1.1\r\nHost: example\r\nContent-Length: 5\r\n\r\nhello" + LAST,
    "POST and CRLF, GET": POST + b"Content-Length: 5\r\n\r\nhello\r\n" + LAST,
    "close, GET": b"GET /1 HTTP/1.1\r\nHost: example\r\nConnection: close\r\n\r\n" + LAST,
    "GET, rubbish": ONE + b"rubbish\r\n\r\n",
    "rubbish, GET": b"rubbish\r\n\r\n" + LAST,
    "POST with length and chunks, GET": POST + b"Content-Length: 4\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + LAST,
    "POST with two lengths, GET": POST + b"Content-Length: 5\r\nContent-Length: 0\r\n\r\nhello" + LAST,
    "POST without a length, GET": POST + b"\r\n" + LAST,
    "POST with identity, GET": POST + b"Transfer-Encoding: identity\r\n\r\n" + LAST,
    "POST with an obscured coding, GET": POST + b"Content-Length: 5\r\nTransfer_Encoding: chunked\r\n\r\nhello" + LAST,
    "POST that expects, GET": POST + EXPECT + b"Content-Length: 5\r\n\r\nhello" + LAST,
    "no Host, GET": b"GET /1 HTTP/1.1\r\n\r\n" + LAST,
    "Upgrade refused, GET": b"GET /1 HTTP/1.1\r\nHost: example\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n" + LAST,
    "hidden in chunk data": POST + CHUNKED + b"\r\n%x\r\n" % len(LAST) + LAST + b"\r\n0\r\n\r\n" + LAST,
}
for name, text in PIPELINES.items():
    request(f"pipeline {name}", text)
request("pipeline HEAD, HEAD", ONE.replace(b"GET", b"HEAD") + LAST.replace(b"GET", b"HEAD"), to_head=True)

# ---- responses ----
ORDINARY = b"GET / HTTP/1.1\r\nHost: example\r\n\r\n"
MARK = b"X-Origin: yes\r\n"


def response(name, answer, asked=ORDINARY, **flags):
    assert name not in RESPONSES, name
    RESPONSES[name] = Response(answer, asked, **flags)


def answer(name, fields=b"Content-Length: 5\r\n", body=b"hello", line=b"HTTP/1.1 200 OK", **flags):
    """A response whose origin can be told from the proxy's own: `fields` is raw lines."""
    response(name, line + b"\r\n" + MARK + fields + b"\r\n" + body, **flags)


def to_head(name, fields, body=b"", **flags):
    answer(f"HEAD {name}", fields, body, asked=ORDINARY.replace(b"GET", b"HEAD"), to_head=True, **flags)


# ---- status codes and status lines ----
for status in "200 201 203 205 206 299 301 307 400 401 404 407 418 421 426 431 451 500 503 511 599 600 999".split():
    answer(f"status {status}", line=f"HTTP/1.1 {status} X".encode())
LINES = {
    "no reason": b"HTTP/1.1 200 ",
    "no space behind the status": b"HTTP/1.1 200",
    "long reason": b"HTTP/1.1 200 " + b"very " * 40,
    "obs-text in the reason": b"HTTP/1.1 200 \xe9t\xe9",
    "control byte in the reason": b"HTTP/1.1 200 a\x01b",
    "two digits": b"HTTP/1.1 20 OK",
    "four digits": b"HTTP/1.1 2000 OK",
    "letters for digits": b"HTTP/1.1 2OO OK",
    "status 099": b"HTTP/1.1 099 OK",
    "two spaces": b"HTTP/1.1  200 OK",
    "version 1.2": b"HTTP/1.2 200 OK",
    "version 2.0": b"HTTP/2.0 200 OK",
    "version in small letters": b"http/1.1 200 OK",
    "space in front": b" HTTP/1.1 200 OK",
    "empty line in front": b"\r\nHTTP/1.1 200 OK",
    "ICY": b"ICY 200 OK",
}
for name, line in LINES.items():
    answer(f"line {name}", line=line)
response("line that is none", b"hello\n", close=True)
response("line ended by LF", b"HTTP/1.1 200 OK\n" + MARK + b"Content-Length: 5\r\n\r\nhello")
response("nothing, and close", b"", close=True)
response("nothing", b"")
response("half a head, and close", b"HTTP/1.1 200 OK\r\n" + MARK, close=True)
response("half a head", b"HTTP/1.1 200 OK\r\n" + MARK)

# ---- without content ----
answer("204", b"", b"", line=b"HTTP/1.1 204 No Content")
answer("204 with Content-Length 0", b"Content-Length: 0\r\n", b"", line=b"HTTP/1.1 204 No Content")
answer("204 with a body", line=b"HTTP/1.1 204 No Content")
answer("204 with chunks", b"Transfer-Encoding: chunked\r\n", HELLO, line=b"HTTP/1.1 204 No Content")
answer("304", b'ETag: "a"\r\n', b"", line=b"HTTP/1.1 304 Not Modified")
answer("304 with Content-Length", b"Content-Length: 5\r\n", b"", line=b"HTTP/1.1 304 Not Modified")
answer("304 with a body", line=b"HTTP/1.1 304 Not Modified")
answer("304 with Transfer-Encoding", b"Transfer-Encoding: chunked\r\n", b"", line=b"HTTP/1.1 304 Not Modified")
to_head("with a length", b"Content-Length: 5\r\n")
to_head("without a length", b"")
to_head("with chunked", b"Transfer-Encoding: chunked\r\n")
to_head("with a body", b"Content-Length: 5\r\n", b"hello")
to_head("that ends by close", b"", close=True)
answer("205 without a length", b"", b"", line=b"HTTP/1.1 205 Reset Content", close=True)

# ---- framing ----
ANSWER_LENGTHS = {
    "0": (b"0", b""),
    "leading zeros": (b"005", b"hello"),
    "plus": (b"+5", b"hello"),
    "negative": (b"-5", b"hello"),
    "letters": (b"5a", b"hello"),
    "empty": (b"", b"hello"),
    "equal list": (b"5, 5", b"hello"),
    "different list": (b"5, 6", b"hello"),
    "2^64": (b"18446744073709551616", b"hello"),
}
for name, (value, body) in ANSWER_LENGTHS.items():
    answer(f"length {name}", b"Content-Length: " + value + b"\r\n", body)
answer("length twice, equal", b"Content-Length: 5\r\nContent-Length: 5\r\n")
answer("length twice, different", b"Content-Length: 5\r\nContent-Length: 4\r\n")
answer("length too large, and close", b"Content-Length: 9\r\n", close=True)
answer("length too large", b"Content-Length: 9\r\n")
answer("length too small", b"Content-Length: 3\r\n")
answer("length followed by another response", body=b"helloHTTP/1.1 200 OK\r\nX-Second: 1\r\nContent-Length: 0\r\n\r\n")
answer("length 200000", b"Content-Length: 200000\r\n", b"0123456789" * 20000)
answer("until close", b"", close=True)
answer("until close, empty", b"", b"", close=True)
answer("until close, 100000", b"", b"0123456789" * 10000, close=True)
answer("until close to HTTP/1.0", b"", asked=b"GET / HTTP/1.0\r\nHost: example\r\n\r\n", close=True)
answer("1.0 with a length", line=b"HTTP/1.0 200 OK")
answer("1.0 until close", b"", line=b"HTTP/1.0 200 OK", close=True)
answer("1.0 with chunked", b"Transfer-Encoding: chunked\r\n", HELLO, line=b"HTTP/1.0 200 OK", close=True)
ANSWER_CODINGS = {
    "identity": b"Transfer-Encoding: identity\r\n",
    "gzip, chunked": b"Transfer-Encoding: gzip, chunked\r\n",
    "gzip": b"Transfer-Encoding: gzip\r\n",
    "chunked twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "chunked in capitals": b"Transfer-Encoding: CHUNKED\r\n",
    "chunked and a length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "xchunked": b"Transfer-Encoding: xchunked\r\n",
}
for name, lines in ANSWER_CODINGS.items():
    answer(f"coding {name}", lines, HELLO, close=True)
ANSWER_CHUNKS = """two, none, extension, extension with LF, space behind the size, size with 0x, size no number,
size of 2^64 + 5, size ended by LF, data too long, no last chunk,
trailer, trailer with framing, trailer without a colon"""
for name in ANSWER_CHUNKS.replace("\n", " ").split(", "):
    answer(f"chunks {name}", b"Transfer-Encoding: chunked\r\n", CHUNKS[name], close=True)
answer("chunks to HTTP/1.0", b"Transfer-Encoding: chunked\r\n", HELLO, asked=b"GET / HTTP/1.0\r\nHost: example\r\n\r\n")
TE = b"GET / HTTP/1.1\r\nHost: example\r\nTE: trailers\r\nConnection: TE\r\n\r\n"
answer("trailers that were asked for", b"Trailer: X-T\r\nTransfer-Encoding: chunked\r\n", CHUNKS["trailer"], asked=TE)
answer("trailers with framing that were asked for", CHUNKED, CHUNKS["trailer with framing"], asked=TE)

# ---- fields ----
ANSWER_FIELDS = {
    "empty": b"X-A:\r\n",
    "repeated": b"X-A: 1\r\nX-B: 2\r\nx-a: 3\r\n",
    "two cookies": b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n",
    "obs-text": b"X-A: caf\xe9\r\n",
    "control byte": b"X-A: 1\x012\r\n",
    "NUL": b"X-A: 1\x002\r\n",
    "bare CR": b"X-A: 1\r2\r\n",
    "ended by LF": b"X-A: 1\nX-B: 2\r\n",
    "folded": b"X-A: 1\r\n 2\r\n",
    "space before the colon": b"X-A : 1\r\n",
    "without a colon": b"X-A\r\n",
    "without a name": b": 1\r\n",
    "name with a space": b"X A: 1\r\n",
    "name with brackets": b"X[A]: 1\r\n",
    "name with an underscore": b"X_A: 1\r\n",
    "of 3000 bytes": b"X-A: " + b"a" * 3000 + b"\r\n",
    "of 100000 bytes": b"X-A: " + b"a" * 100000 + b"\r\n",
    "200 times": b"".join(b"X-%d: 1\r\n" % i for i in range(200)),
    "Date and Server": b"Date: Sat, 01 Jan 2000 00:00:00 GMT\r\nServer: origin\r\n",
    "Via": b"Via: 1.1 fred\r\n",
    "Location relative": b"Location: /a\r\n",
    "Keep-Alive": b"Keep-Alive: timeout=5\r\n",
    "Connection names a field": b"X-A: 1\r\nConnection: X-A\r\n",
    "Connection names Content-Length": b"Connection: Content-Length\r\n",
    "Proxy-Authenticate": b"Proxy-Authenticate: Basic\r\n",
    "Upgrade without a 101": b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
    "TE": b"TE: trailers\r\n",
    "Trailer": b"Trailer: X-T\r\n",
    "X-Accel-Redirect": b"X-Accel-Redirect: /secret\r\n",
    "X-Accel-Limit-Rate": b"X-Accel-Limit-Rate: 100000\r\n",
    "Content-Encoding": b"Content-Encoding: gzip\r\n",
    "Alt-Svc": b'Alt-Svc: h3=":443"\r\n',
}
for name, lines in ANSWER_FIELDS.items():
    answer(f"field {name}", lines + b"Content-Length: 5\r\n")
answer("field Connection: close", b"Connection: close\r\nContent-Length: 5\r\n", close=True)

# ---- interim responses and 101 ----
FINAL = b"HTTP/1.1 200 OK\r\n" + MARK + b"Content-Length: 5\r\n\r\nhello"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
INTERIM = {
    "100 that nobody expects": b"HTTP/1.1 100 Continue\r\n\r\n",
    "102": b"HTTP/1.1 102 Processing\r\n\r\n",
    "103": HINTS,
    "103 twice": HINTS + HINTS,
    "150": b"HTTP/1.1 150 Own\r\n\r\n",
    "100 with a length": b"HTTP/1.1 100 Continue\r\nContent-Length: 3\r\n\r\n",
}
for name, interim in INTERIM.items():
    response(f"interim {name}", interim + FINAL)
response("interim 103 and nothing", HINTS)
response("interim 103 to HTTP/1.0", HINTS + FINAL, asked=b"GET / HTTP/1.0\r\nHost: example\r\n\r\n")
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\n" + MARK + b"Connection: Upgrade\r\nUpgrade: %s\r\n\r\nHELLO"
UPGRADE = b"GET / HTTP/1.1\r\nHost: example\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n"
response(
    "101 to websocket",
    SWITCH % b"websocket\r\nSec-WebSocket-Accept: X7sdFi1aZDLMcFz+yURsFmFjwvU=",
    asked=UPGRADE.replace(b"\r\n\r\n", b"\r\n" + WEBSOCKET + b"\r\n") % b"websocket",
    close=True,
)
response("101 to tcp", SWITCH % b"tcp", asked=UPGRADE % b"tcp", close=True)
response("101 to what was not offered", SWITCH % b"other", asked=UPGRADE % b"tcp", close=True)
response("101 that was not asked for", SWITCH % b"websocket", close=True)
BARE_SWITCH = b"HTTP/1.1 101 Switching Protocols\r\n" + MARK + b"\r\nHELLO"
response("101 without Upgrade", BARE_SWITCH, asked=UPGRADE % b"tcp", close=True)
answer(
    "426 to an upgrade",
    b"Upgrade: other\r\nConnection: Upgrade\r\nContent-Length: 5\r\n",
    line=b"HTTP/1.1 426 U",
    asked=UPGRADE % b"tcp",
)

# ---- answers that do not wait for the request ----
UPLOAD = b"POST / HTTP/1.1\r\nHost: example\r\nContent-Length: 400000\r\n\r\n" + b"0123456789" * 40000
for status in (b"200 OK", b"413 Content Too Large"):
    answer(f"early {status[:3].decode()}, the rest is read", line=b"HTTP/1.1 " + status, asked=UPLOAD, early=True)
