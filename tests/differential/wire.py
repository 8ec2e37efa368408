"""A strict reader of HTTP/1 messages, independent of the programs under test. It repairs nothing: what RFC 9112 does
not allow is garbled, so that what a proxy passes on can be judged by somebody who believes only the letter."""

import re
from dataclasses import dataclass, field

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([!-~\x80-\xff]+) HTTP/1\.([01])\Z")
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2}) ([\t -~\x80-\xff]*)\Z")
FIELD_LINE = re.compile(rb"(" + TOKEN + rb"):([\t -~\x80-\xff]*)\Z")
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t -~\x80-\xff]*)?\Z")


class Garbled(Exception):
    """These bytes are no HTTP/1 message."""


class Incomplete(Exception):
    """More bytes are needed."""


@dataclass
class Message:
    start: tuple = ()
    fields: list = field(default_factory=list)  # (name in lower case, value)
    framing: str = "none"  # none, length, chunked, close
    body: bytes = b""
    trailers: list = field(default_factory=list)
    whole: bool = False
    end: int = 0  # the offset behind it

    def values(self, name):
        return [value for key, value in self.fields if key == name]

    def elements(self, name):
        joined = b",".join(self.values(name))
        return [element.strip().lower() for element in joined.split(b",") if element.strip()]


class Reader:
    """Takes lines and bytes from data, from an offset on."""

    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def line(self):
        end = self.data.find(b"\n", self.at)
        if end < 0:
            raise Incomplete
        if end == self.at or self.data[end - 1 : end] != b"\r":
            raise Garbled("a line that ends in a bare LF")
        text, self.at = self.data[self.at : end - 1], end + 1
        return text

    def take(self, n):
        piece = self.data[self.at : self.at + n]
        self.at += len(piece)
        return piece

    def fields(self):
        fields = []
        while line := self.line():
            match = FIELD_LINE.match(line)
            if not match:
                raise Garbled(f"no field line: {line[:60]!r}")
            fields.append((match[1].lower(), match[2].strip(b" \t")))
        return fields


def _read_chunks(reader, message):
    while True:
        match = CHUNK_LINE.match(reader.line())
        if not match:
            raise Garbled("a bad chunk size")
        size = int(match[1], 16)
        if size == 0:
            message.trailers = reader.fields()
            return
        piece = reader.take(size)
        message.body += piece
        if len(piece) < size or len(reader.data) < reader.at + 2:
            raise Incomplete
        if reader.take(2) != b"\r\n":
            raise Garbled("chunk data that is longer than its size")


def _content_length(message):
    values = message.values(b"content-length")
    if not values:
        return None
    if len(values) > 1 or not values[0].isdigit():
        raise Garbled("Content-Length is not one number")
    return int(values[0])


def _read_body(reader, message, until_close):
    """The framing of RFC 9112 6.3, where nothing may be contradictory."""
    codings, length = message.values(b"transfer-encoding"), _content_length(message)
    if codings:
        if length is not None or len(codings) > 1 or codings[0].lower() != b"chunked":
            raise Garbled("Transfer-Encoding that is not chunked, or not alone")
        message.framing = "chunked"
        _read_chunks(reader, message)
    elif length is not None:
        message.framing = "length"
        message.body = reader.take(length)
        if len(message.body) < length:
            raise Incomplete
    elif until_close:
        message.framing = "close"
        message.body = reader.take(len(reader.data))


def _read(data, at, line_pattern, decide_body):
    """One message. One of which the head is there but not the end is returned with whole=False."""
    reader, message = Reader(data, at), Message()
    line = reader.line()
    match = line_pattern.match(line)
    if not match:
        raise Garbled(f"no start line: {line[:60]!r}")
    message.start = match.groups()
    message.fields = reader.fields()
    try:
        decide_body(reader, message)
        message.whole = True
    except Incomplete:
        pass
    message.end = reader.at
    return message


def read_request(data, at=0):
    def body(reader, message):
        if message.start[2] == b"1" and len(message.values(b"host")) != 1:
            raise Garbled("not exactly one Host")
        _read_body(reader, message, until_close=False)

    return _read(data, at, REQUEST_LINE, body)


def read_response(data, at=0, to_head=False):
    def body(reader, message):
        status = int(message.start[1])
        if status == 101:
            message.framing, message.body = "close", reader.take(len(reader.data))
        elif status >= 200 and status not in (204, 304) and not to_head:
            _read_body(reader, message, until_close=True)

    return _read(data, at, STATUS_LINE, body)


def read_all(data, read_one):
    """All messages in data; returns (messages, what is wrong with the rest or None)."""
    messages, at = [], 0
    while at < len(data):
        try:
            message = read_one(data, at)
        except Garbled as error:
            return messages, str(error)
        except Incomplete:
            return messages, "a head without an end"
        messages.append(message)
        if not message.whole:
            return messages, "a body without an end"
        at = message.end
    return messages, None
