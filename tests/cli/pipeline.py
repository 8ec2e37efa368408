"""Sends N requests for /small and an upload to PATH that nobody wants, all of it before a byte is read, then reads all there is: for
each N. Prints "N heads, M bytes" where M is of the last answer. usage: pipeline.py SOCKET PATH N..."""

import socket
import sys
import threading
import time

CHUNK = b"4000\r\n" + 0x4000 * b"b" + b"\r\n"
N_CHUNKS = 100  # more than is thrown away in silence
UNREAD_S = 0.05


def upload(connection, path, n):
    try:
        connection.sendall(n * b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n")
        connection.sendall(b"POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" % path.encode())
        for _ in range(N_CHUNKS):
            connection.sendall(CHUNK)
    except OSError:
        pass  # it was answered


def take(connection):
    got = b""
    while piece := connection.recv(65536):
        got += piece
    return got


def main():
    for n in map(int, sys.argv[3:]):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(sys.argv[1])
            sender = threading.Thread(target=upload, args=(connection, sys.argv[2], n))
            sender.start()
            time.sleep(UNREAD_S)
            answers = take(connection).split(b"HTTP/1.1 ")[1:]
            sender.join()
        print(len(answers) - 1, "and", len(answers[-1].partition(b"\r\n\r\n")[2]), flush=True)


main()
