"""Work in tiny pieces: it goes on gathered, at once all the same, and nobody gets more than a share of each turn."""

import threading
import time

import wire
from ends import house
from tap import test

CHUNKED = "Transfer-Encoding: chunked"
TINY = 5000
ONE_TURN = 1024  # pieces, at most: the share of a run of the library, and that may run a few times


def read_chunks(end):
    """The sizes of a chunked body's chunks, and what is in them."""
    sizes, content = [], []
    while True:
        size = int(end.line().split(";")[0], 16)
        if size == 0:
            assert end.line() == ""
            return sizes, b"".join(content)
        sizes.append(size)
        content.append(end.exactly(size))
        assert end.exactly(2) == b"\r\n"


def tiny_chunks(size):
    """TINY chunks of so many bytes."""
    data = bytes(65 + i % 26 for i in range(TINY)) * size
    return data, b"".join(wire.chunk(data[i:i + size]) for i in range(0, len(data), size))


@test("upload: thousands of tiny chunks in one write are few for the target, none of more than a turn's share")
def tiny_uploads(context):
    porthole, board = house(context)
    for size in (1, 3):
        data, chunks = tiny_chunks(size)
        with wire.client(porthole.address) as client:
            client.send(wire.head("POST", "/tiny", CHUNKED) + chunks + b"0\r\n\r\n")
            end = board.take_request(body=False)
            sizes, content = read_chunks(end)
            assert content == data
            context.note(f"{TINY} chunks of {size} have become {len(sizes)} of {max(sizes)} at most")
            assert len(sizes) < TINY / 20, len(sizes)
            assert max(sizes) <= ONE_TURN * size, max(sizes)
            end.send(wire.answer(b"ok"))
            assert wire.Response(client).body == b"ok"
            end.close()
    porthole.check_outcomes("/tiny", 2, "forwarded")


@test("upload: a chunk of one byte does not wait for company, however often")
def one_chunk_at_a_time(context):
    porthole, board = house(context)
    with wire.client(porthole.address) as client:
        client.send(wire.head("POST", "/dialogue", CHUNKED))
        end = board.take_request(body=False)
        for i in range(300):
            byte = bytes([65 + i % 26])
            client.send(wire.chunk(byte))
            assert end.exactly(6) == wire.chunk(byte)
        client.send(b"0\r\n\r\n")
        assert end.exactly(5) == b"0\r\n\r\n"
        end.send(wire.answer(b"ok"))
        assert wire.Response(client).body == b"ok"
    porthole.check_outcomes("/dialogue", 1, "forwarded")


@test("upload: tiny chunks for a target that does not read wait, with their client, beyond timeouts.body")
def tiny_chunks_held_back(context):
    porthole, board = house(context, listener={"timeouts": {"body": "1s"}})
    data, chunks = tiny_chunks(7)
    with wire.client(porthole.address, 60) as client:
        client.send(wire.head("POST", "/held", CHUNKED))
        end = board.take_request(body=False)
        sent = threading.Event()

        def upload():
            for _ in range(60):
                client.send(chunks)
            client.send(b"0\r\n\r\n")
            sent.set()

        threading.Thread(target=upload, daemon=True).start()
        time.sleep(3)
        assert not sent.is_set(), "the test sends too little to be held back"
        _, content = read_chunks(end)
        assert content == data * 60
        end.send(wire.answer(b"ok"))
        assert wire.Response(client).status == 200
    porthole.check_outcomes("/held", 1, "forwarded")


@test("answer: dozens of interim heads in one write arrive all, before the final one")
def many_interim_heads(context):
    porthole, board = house(context)
    with wire.client(porthole.address) as client:
        client.send(wire.head("GET", "/interim"))
        end = board.take_request()
        end.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 60 + wire.answer(b"ok"))
        got = wire.Response(client)
        assert (got.n_interim, got.status, got.body) == (60, 200, b"ok")
    porthole.check_outcomes("/interim", 1, "forwarded")


@test("answer: thousands of tiny chunks in one write arrive whole, with extensions and trailers, and the next is served")
def tiny_answers(context):
    porthole, board = house(context, connections={"idle_timeout": "60s"})
    data, chunks = tiny_chunks(1)
    with wire.client(porthole.address) as client:
        client.send(wire.head("GET", "/answer"))
        end = board.take_request()
        end.send(f"HTTP/1.1 200 OK\r\n{CHUNKED}\r\n\r\n".encode() + chunks + b"0;" + b"e" * 9000 + b"\r\nX-Sum: 1\r\n\r\n")
        assert wire.Response(client).body == data
        client.send(wire.head("GET", "/answer"))
        assert wire.Request(end).target == "/answer"
        end.send(wire.answer(b"ok"))
        assert wire.Response(client).body == b"ok"
    porthole.check_outcomes("/answer", 2, "forwarded")
