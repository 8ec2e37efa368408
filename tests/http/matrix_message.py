"""Strict readers of HTTP/1.1 messages (RFC 9112): what porthole writes has no excuse.

A reader is given all bytes of one direction of a connection and returns messages; the last may be unfinished. Anything
that two recipients could take differently raises Garbled.
"""

import re
from dataclasses import dataclass

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
VALUE = rb"[\t\x20-\x7e\x80-\xff]*"
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([\x21-\x7e\x80-\xff]+) HTTP/1\.1")
STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-9][0-9][0-9]) " + VALUE)
FIELD_LINE = re.compile(rb"(" + TOKEN + rb"):[\t ]*(" + VALUE + rb")")
CHUNK_LINE = re.compile(rb"([0-9a-fA-F]{1,16})\r\n")


class Garbled(Exception):
    """The bytes are no message, or more than one reader's idea of one."""


@dataclass
class Message:
    """A request or a response. `head` and `trailers` are the lines as sent, `body` is without chunk framing."""

    line: re.Match
    head: bytes
    fields: list
    body: bytes = b""
    trailers: bytes = b""
    whole: bool = False

    def values(self, name):
        return [value for key, value in self.fields if key.lower() == name]


def field_lines(lines):
    fields = []
    for line in lines:
        match = FIELD_LINE.fullmatch(line)
        if not match:
            raise Garbled(f"not a field line: {line[:80]}")
        fields.append((match[1], match[2].strip(b" \t")))
    return fields


def read_head(data, pattern):
    """The message whose head is at the start of data, or None when it is not all there."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if re.search(rb"(?<!\r)\n|\r(?!\n|$)|\0", data):
            raise Garbled(f"an unfinished head has a bare CR or LF, or a NUL: {data[:80]}")
        return None
    lines = data[:end].split(b"\r\n")
    line = pattern.fullmatch(lines[0])
    if not line:
        raise Garbled(f"not a first line: {lines[0][:80]}")
    return Message(line, data[: end + 4], field_lines(lines[1:]))


def framing(message):
    """"chunked", a length, or None."""
    lengths, codings = message.values(b"content-length"), message.values(b"transfer-encoding")
    if len(lengths) + len(codings) > 1:
        raise Garbled(f"framed twice: {lengths + codings}")
    if codings:
        if codings[0].lower() != b"chunked":
            raise Garbled(f"Transfer-Encoding: {codings[0]}")
        return "chunked"
    if lengths:
        if not re.fullmatch(rb"0|[1-9][0-9]{0,18}", lengths[0]):
            raise Garbled(f"Content-Length: {lengths[0]}")
        return int(lengths[0])
    return None


def read_chunked(message, data):
    """Takes chunks and trailers; returns how much of data that was."""
    at = 0
    while match := CHUNK_LINE.match(data, at):
        size = int(match[1], 16)
        at = match.end()
        if size == 0:
            return read_trailers(message, data, at)
        message.body += data[at : at + size]
        if data[at + size : at + size + 2] not in (b"\r\n", b"\r", b""):
            raise Garbled("a chunk does not end in CRLF")
        at += size + 2
    if len(data) > at and not re.fullmatch(rb"[0-9a-fA-F]{1,16}\r?", data[at:]):
        raise Garbled(f"not a chunk size: {data[at:at + 40]}")
    return len(data)


def read_trailers(message, data, at):
    if data[at : at + 2] == b"\r\n":
        message.whole = True
        return at + 2
    end = data.find(b"\r\n\r\n", at)
    if end < 0:
        return len(data)
    message.trailers = data[at : end + 2]
    field_lines(data[at:end].split(b"\r\n"))
    message.whole = True
    return end + 4


def read_sized(message, data, length):
    message.body = data[:length]
    message.whole = len(data) >= length
    return min(len(data), length)


def read_requests(data):
    requests = []
    while data:
        request = read_head(data, REQUEST_LINE)
        if not request:
            break
        if len(request.values(b"host")) != 1:
            raise Garbled(f"{len(request.values(b'host'))} Host fields")
        data = data[len(request.head) :]
        length = framing(request)
        if length == "chunked":
            data = data[read_chunked(request, data) :]
        else:
            data = data[read_sized(request, data, length or 0) :]
        requests.append(request)
        if not request.whole:
            break
    return requests, data


def read_responses(data, is_head, at_end):
    """`is_head`: the first final response answers HEAD. `at_end`: the connection has ended in order, which ends a
    response without a length."""
    responses = []
    while data:
        response = read_head(data, STATUS_LINE)
        if not response:
            break
        responses.append(response)
        data = data[len(response.head) :]
        status = int(response.line[1])
        length = framing(response)
        if status == 101:
            response.body, response.whole, data = data, True, b""
        elif status < 200:
            response.whole = True
        elif is_head or status in (204, 304):
            if status == 204 and length is not None:
                raise Garbled("a framed 204")
            response.whole, is_head = True, False
        elif length == "chunked":
            data = data[read_chunked(response, data) :]
        elif length is not None:
            data = data[read_sized(response, data, length) :]
        else:
            response.body, response.whole, data = data, at_end, b""
        if not response.whole:
            break
    return responses, data
