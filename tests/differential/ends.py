"""Both ends of a proxy: origins that write down what they receive, and a client that sends its bytes and listens."""

import asyncio
import contextlib
import json
from dataclasses import dataclass, field

from wire import Garbled, Incomplete, read_all, read_request

CLIENT_S = 20  # every program ends every connection long before
PART_S = 0.5
SETTLE_S = 8
HEAD_OF_ANSWER = b"HTTP/1.1 %s\r\nX-Origin: yes\r\nContent-Length: %d\r\n\r\n"


@dataclass
class Conversation:
    """What came in over one connection of an origin."""

    received: bytes = b""
    ended: bool = False
    reports: list = field(default_factory=list)


def report(requests, received):
    """What an origin tells about the last of its requests."""
    last = requests[-1]
    begin = requests[-2].end if len(requests) > 1 else 0
    return json.dumps(
        {
            "request": len(requests),
            "method": last.start[0].decode("latin-1"),
            "target": last.start[1].decode("latin-1"),
            "ended_at": last.end,
            "body_bytes": len(last.body),
            "bytes": received[begin : last.end].decode("latin-1"),
        }
    ).encode()


class Origin:
    """Listens for one payload of one program. Without a response to give, it answers each request with its report."""

    def __init__(self, response=None):
        self.response = response
        self.conversations = []
        self.server = None
        self.tasks = set()

    async def start(self, path):
        self.server = await asyncio.start_unix_server(self._serve, path, backlog=16)

    async def stop(self):
        self.server.close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def forget(self):
        self.conversations = []

    async def settle(self):
        """Waits until the program has ended all its connections to this origin."""
        for _ in range(int(SETTLE_S / 0.02)):
            if all(conversation.ended for conversation in self.conversations):
                return
            await asyncio.sleep(0.02)

    async def _serve(self, reader, writer):
        conversation = Conversation()
        self.conversations.append(conversation)
        self.tasks.add(asyncio.current_task())
        try:
            await (self._play if self.response else self._echo)(conversation, reader, writer)
        except OSError:
            pass
        finally:
            conversation.ended = True
            self.tasks.discard(asyncio.current_task())
            writer.close()

    async def _receive(self, conversation, reader):
        data = await reader.read(1 << 18)
        conversation.received += data
        return data

    async def _echo(self, conversation, reader, writer):
        invited = 0  # the number of requests to which a 100 was sent
        while await self._receive(conversation, reader):
            requests, rest = read_all(conversation.received, read_request)
            whole = [request for request in requests if request.whole]
            while len(conversation.reports) < len(whole):
                n = len(conversation.reports) + 1
                text = report(whole[:n], conversation.received)
                conversation.reports.append(text)
                writer.write(HEAD_OF_ANSWER % (b"200 OK", len(text)))
                if whole[n - 1].start[0] != b"HEAD":
                    writer.write(text)
            if len(requests) > len(whole) and invited < len(requests) and requests[-1].elements(b"expect"):
                invited = len(requests)
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            if rest and not rest.endswith("without an end"):
                writer.write(HEAD_OF_ANSWER % (b"400 Bad Request\r\nConnection: close", 0))
                return
            await writer.drain()

    async def _play(self, conversation, reader, writer):
        played = False
        while await self._receive(conversation, reader):
            if not played and self._is_asked(conversation.received):
                played = True
                writer.write(self.response.answer)
                await writer.drain()
                if self.response.close:
                    return

    def _is_asked(self, received):
        if self.response.early:
            return b"\r\n\r\n" in received
        try:
            return read_request(received).whole
        except (Garbled, Incomplete):
            return False


class Client:
    """One connection of a client. `end`: closed, reset, or open when the program never ended it."""

    def __init__(self):
        self.received = b""
        self.end = "open"

    async def run(self, path, parts, half_close=False):
        reader, writer = await asyncio.open_unix_connection(path)
        something = asyncio.Event()
        listener = asyncio.create_task(self._listen(reader, something))
        try:
            with contextlib.suppress(OSError):
                await self._send(writer, parts, something)
                if half_close:
                    writer.write_eof()
            await asyncio.wait_for(listener, CLIENT_S)
        except asyncio.TimeoutError:
            pass
        finally:
            listener.cancel()
            writer.close()

    async def _send(self, writer, parts, something):
        for i, part in enumerate(parts):
            if i > 0:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(something.wait(), PART_S)
                something.clear()
            writer.write(part)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(writer.drain(), CLIENT_S)

    async def _listen(self, reader, something):
        try:
            while data := await reader.read(1 << 18):
                self.received += data
                something.set()
            self.end = "closed"
        except OSError:
            self.end = "reset"
