#!/usr/bin/python3
"""A client that sends any bytes over a Unix socket, reads to the end and shows what it got.

usage: wire.py [--shut] [--pause SECONDS] [--wait SECONDS] SOCKET PIECE...
       wire.py --each [--wait SECONDS] SOCKET REQUEST...

A PIECE has Python's escapes; N*PIECE repeats it. --pause waits between pieces, --shut ends our half after the last one,
--wait is for how long silence is borne. The first line of the output is the status codes of the answers and how the
connection ended: closed, reset, or open. The bytes themselves follow.

With --each every request has a connection of its own and one line of output: that first line, a tab, and the request.
"""

import argparse
import re
import socket
import sys
import time


def expand(piece):
    match = re.fullmatch(r"(\d+)\*(.*)", piece, re.DOTALL)
    count, text = (int(match[1]), match[2]) if match else (1, piece)
    return count * text.encode("latin-1").decode("unicode_escape").encode("latin-1")


def receive(connection):
    received = b""
    try:
        while data := connection.recv(65536):
            received += data
        return received, "closed"
    except ConnectionError:
        return received, "reset"
    except TimeoutError:
        return received, "open"


def talk(options, pieces):
    """Returns the summary and the bytes received."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(options.wait)
        connection.connect(options.socket)
        try:
            for i, piece in enumerate(pieces):
                if i > 0:
                    time.sleep(options.pause)
                connection.sendall(expand(piece))
            if options.shut:
                connection.shutdown(socket.SHUT_WR)
        except BrokenPipeError:
            pass  # refused early: the answer says why
        received, end = receive(connection)
    statuses = re.findall(rb"HTTP/1\.[01] (\d{3})", received)
    return " ".join([status.decode() for status in statuses] + [end]), received


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--each", action="store_true")
    parser.add_argument("--shut", action="store_true")
    parser.add_argument("--pause", type=float, default=0)
    parser.add_argument("--wait", type=float, default=5)
    parser.add_argument("socket")
    parser.add_argument("pieces", nargs="+")
    options = parser.parse_args()
    if options.each:
        for piece in options.pieces:
            print(talk(options, [piece])[0], piece, sep="\t")
    else:
        summary, received = talk(options, options.pieces)
        print(summary)
        sys.stdout.write(received.decode("latin-1"))


main()
