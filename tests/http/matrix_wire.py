"""The two peers of porthole in matrix.md: a client and a target that send any bytes, each on a Unix socket."""

import fcntl
import select
import socket
import struct
import termios
import threading
import time

from matrix_message import Garbled, read_requests, read_responses

PATIENCE_S = 20  # for what must come; nothing here takes a second on a machine that is not busy
TAKEN_S = 2  # for a peer that may have stopped reading
ORDINARY = b"GET %s HTTP/1.1\r\nHost: ordinary\r\nConnection: %s\r\n\r\n"
ORDINARY_TARGETS = (b"/again", b"/after")


def ordinary_body(target):
    return b"the answer to " + target + b"\n"


def wait_until_taken(connection):
    """Until the peer has read everything (unix(7), SIOCOUTQ), so that what follows comes to it by itself."""
    end = time.monotonic() + TAKEN_S
    while time.monotonic() < end:
        if struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0] == 0:
            return
        time.sleep(0.001)


def end_abruptly(connection):
    """Closes with something unread: that is what resets a Unix socket (unix(7))."""
    select.select([connection], [], [], PATIENCE_S)
    connection.close()


class Client:
    """Sends a script, and reads at the same time."""

    def __init__(self, path, is_head=False, is_reached=None):
        self.is_reached = is_reached  # whether the target has got something
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.settimeout(PATIENCE_S)
        self.connection.connect(path)
        self.connection.setblocking(False)
        self.is_head = is_head
        self.received = b""
        self.end = None  # "closed" or "reset" once the connection has ended
        self.refuses = False  # no more can be sent

    def close(self):
        self.connection.close()

    def receive(self):
        try:
            data = self.connection.recv(1 << 18)
            self.received += data
            if not data:
                self.end = "closed"
        except BlockingIOError:
            pass
        except ConnectionError:
            self.end = "reset"

    def send(self, data):
        at, limit = 0, time.monotonic() + PATIENCE_S
        while at < len(data) and not self.refuses and not self.end:
            readable, writable, _ = select.select([self.connection], [self.connection], [], PATIENCE_S)
            if readable:
                self.receive()
            if writable:
                try:
                    at += self.connection.send(data[at : at + (1 << 16)])
                except BlockingIOError:
                    pass
                except (BrokenPipeError, ConnectionError):
                    self.refuses = True
            if time.monotonic() > limit:
                return

    def act(self, script):
        for action, data in script:
            if action == "send":
                self.send(data)
            elif action == "drip":
                for i in range(len(data)):
                    self.send(data[i : i + 1])
                    wait_until_taken(self.connection)
            elif action == "pause":
                wait_until_taken(self.connection)
            elif action == "reached":
                self.await_target()
            elif action == "shut" and not self.refuses:
                try:
                    self.connection.shutdown(socket.SHUT_WR)
                except OSError:
                    self.refuses = True
            elif action == "close":
                self.connection.close()
                self.end = "left"
                return

    def await_target(self):
        limit = time.monotonic() + PATIENCE_S
        while not self.is_reached() and time.monotonic() < limit:
            time.sleep(0.001)

    def responses(self):
        return read_responses(self.received, self.is_head, self.end == "closed")

    def await_responses(self, count):
        """Until there are `count` whole ones or the connection has ended."""
        limit = time.monotonic() + PATIENCE_S
        while not self.end and time.monotonic() < limit:
            if count is not None:
                responses, _ = self.responses()
                if sum(response.whole for response in responses) >= count:
                    return
            if select.select([self.connection], [], [], max(0, limit - time.monotonic()))[0]:
                self.receive()


class Conversation:
    """One connection that a target accepted. Guarded by the target's lock."""

    def __init__(self):
        self.received = b""
        self.ended = False


class Target:
    """Answers requests in order; the first that is not ordinary, and only that, gets the row's script."""

    def __init__(self, path, script):
        self.script = script
        self.conversations = []
        self.scripted = None  # the conversation that got the script
        self.script_done = threading.Event()
        self.lock = threading.Lock()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(64)
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def is_reached(self):
        with self.lock:
            return any(conversation.received for conversation in self.conversations)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            conversation = Conversation()
            with self.lock:
                self.conversations.append(conversation)
            threading.Thread(target=self.converse, args=(connection, conversation), daemon=True).start()

    def converse(self, connection, conversation):
        connection.settimeout(PATIENCE_S)
        n_answered, continued = 0, set()
        try:
            if self.begins_with("early"):
                self.claim(connection, conversation)
                n_answered += 1
            while data := connection.recv(1 << 18):
                with self.lock:
                    conversation.received += data
                n_answered = self.answer_all(connection, conversation, n_answered, continued)
        except (OSError, Garbled):
            pass  # seen again where the row is judged
        finally:
            with self.lock:
                conversation.ended = True
            connection.close()

    def begins_with(self, action):
        return self.script is not None and self.scripted is None and self.script[:1] == [(action, b"")]

    def answer_all(self, connection, conversation, n_answered, continued):
        requests, _ = read_requests(conversation.received)
        for i, request in enumerate(requests[n_answered:], n_answered):
            ordinary = request.line[2] in ORDINARY_TARGETS
            if not request.whole:
                if self.begins_with("head") and not ordinary:
                    self.claim(connection, conversation)
                    return n_answered + 1
                if i not in continued and b"100-continue" in request.values(b"expect"):
                    continued.add(i)
                    connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                break
            n_answered += 1
            if self.script is not None and self.scripted is None and not ordinary:
                self.claim(connection, conversation)
            else:
                self.answer(connection, request)
        return n_answered

    def answer(self, connection, request):
        body = ordinary_body(request.line[2])
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
        connection.sendall(head if request.line[1] == b"HEAD" else head + body)

    def claim(self, connection, conversation):
        self.scripted = conversation
        try:
            self.act(connection)
        finally:
            self.script_done.set()

    def act(self, connection):
        for action, data in self.script:
            if action == "send":
                connection.sendall(data)
            elif action == "drip":
                for i in range(len(data)):
                    connection.sendall(data[i : i + 1])
                    wait_until_taken(connection)
            elif action == "shut":
                connection.shutdown(socket.SHUT_WR)
            elif action == "close":
                connection.close()
                return
            elif action == "reset":
                end_abruptly(connection)
                return
            elif action == "pause":
                wait_until_taken(connection)
        wait_until_taken(connection)
