"""Clients that all want something at once, of a target that keeps them until it is told to answer.

usage: pressure.py SOCKET BACKEND DIRECTORY N BODY

Serves BACKEND itself. Writes how many requests have reached it to DIRECTORY/held, again and again. When
DIRECTORY/go is there, it answers, one after another; when all clients have their answers, prints "answered=N resets=0"."""

import asyncio
import os
import sys

SOCKET, BACKEND, DIRECTORY, N = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
HEAD = "".join(f"X-{i}: {'x' * 140}\r\n" for i in range(90))
FIELDS = "".join(f"X-{i}: {'y' * 1000}\r\n" for i in range(12))
BODY = b"z" * int(sys.argv[5])

held = 0
released = asyncio.Event()


async def serve(reader, writer):
    global held
    try:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            held += 1
            turn = held
            await released.wait()
            await asyncio.sleep(turn * 0.004)
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(BODY)}\r\n{FIELDS}\r\n".encode() + BODY)
            await writer.drain()
    except (asyncio.IncompleteReadError, OSError):
        writer.close()


async def ask(number):
    """Whether it was answered whole. They come one after another, as fast as a machine that is busy can tell."""
    await asyncio.sleep(number * 0.004)
    reader, writer = await asyncio.open_unix_connection(SOCKET)
    try:
        writer.write(f"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{HEAD}\r\n".encode())
        answer = await reader.read(-1)
    except OSError:
        return False
    writer.close()
    return answer.startswith(b"HTTP/1.1 200") and answer.endswith(BODY)


async def tell():
    while not os.path.exists(f"{DIRECTORY}/go"):
        with open(f"{DIRECTORY}/held.new", "w", encoding="ascii") as to:
            to.write(f"{held}\n")
        os.rename(f"{DIRECTORY}/held.new", f"{DIRECTORY}/held")
        await asyncio.sleep(0.05)
    released.set()


async def main():
    async with await asyncio.start_unix_server(serve, BACKEND, backlog=1024):
        teller = asyncio.create_task(tell())
        answers = await asyncio.gather(*(ask(i) for i in range(N)))
        await teller
        print(f"answered={sum(answers)} resets={N - sum(answers)}", flush=True)


asyncio.run(main())
