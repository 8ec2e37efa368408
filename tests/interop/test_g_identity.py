"""Connections on which a client has said who it is (NTLM, Negotiate) are that client's alone."""

import threading

import peers
import wire
from porthole import Porthole
from tap import test

SLOW = {"idle_timeout": "60s"}


class Bound(peers.Target):
    """A server as those that know NTLM are: who says who they are is taken for the asker of all that comes over the connection
    afterwards. Answers with the user and the number of the connection."""

    def __init__(self, context, scheme="NTLM", challenge=None, **options):
        self.scheme, self.challenge = scheme, challenge or scheme
        self.n_connections, self.ended = 0, []
        super().__init__(context, f"unix:{context.path('bound.sock')}", self._answer, **options)

    def _answer(self, connection, _target):
        with self.lock:
            self.n_connections += 1
            number = self.n_connections
        user = "nobody"
        try:
            while True:
                request = wire.Request(connection)
                said = request.fields.get("authorization", request.fields.get("proxy-authorization", ""))
                scheme, _, token = said.partition(" ")
                if scheme.lower() == self.scheme.lower():
                    user = token
                body = f"{user} {number}".encode()
                if user == "nobody" and request.target == "/closed":
                    connection.send(wire.answer(body, f"WWW-Authenticate: {self.challenge}", status="401 Unauthorized"))
                else:
                    connection.send(wire.answer(body))
        finally:
            self.ended.append(number)


def ask(client, path="/", *lines):
    client.send(wire.head("GET", path, *lines))
    got = wire.Response(client)
    user, _, number = got.body.decode().partition(" ")
    return got.status, user, int(number)


def make_identity_test(scheme, line):
    def run(context):
        target = Bound(context, scheme)
        porthole = Porthole(context, {"/": {"endpoints": [target.endpoint], "connections": SLOW}})
        with wire.client(porthole.address) as mine, wire.client(porthole.address) as other:
            assert ask(mine, "/", f"{line} alice") == (200, "alice", 1)
            assert ask(other) == (200, "nobody", 2), "another client came over the connection"
            assert ask(mine) == (200, "alice", 1), "the client's next request did not come over its connection"
            assert ask(other) == (200, "nobody", 2)
            assert ask(other, "/", f"{line} bob") == (200, "bob", 2)
            assert ask(mine) == (200, "alice", 1)
            assert ask(other) == (200, "bob", 2)
        peers.until(lambda: sorted(target.ended) == [1, 2], 5, "the connections' end with their clients")
        assert wire.exchange(porthole.address).body == b"nobody 3"
        porthole.check_all_forwarded()

    test(f"{line}: what comes over that connection is that client's, until it leaves")(run)


for _scheme, _line in (("NTLM", "Authorization: NTLM"), ("Negotiate", "authorization: nEGOTIATE"),
                       ("Negotiate", "Proxy-Authorization: Negotiate")):
    make_identity_test(_scheme, _line)


@test("NTLM's three messages go over one connection, and its challenge is the client's as well")
def handshake(context):
    target = Bound(context, challenge='Basic realm="a, b", Negotiate, NTLM')
    porthole = Porthole(context, {"/": {"endpoints": [target.endpoint], "connections": SLOW}})
    with wire.client(porthole.address) as mine, wire.client(porthole.address) as other:
        assert ask(mine, "/closed") == (401, "nobody", 1)
        assert ask(other) == (200, "nobody", 2)
        assert ask(mine, "/closed", "Authorization: NTLM type1") == (200, "type1", 1)
        assert ask(mine, "/closed", "Authorization: NTLM type3") == (200, "type3", 1)
        assert ask(other, "/closed") == (401, "nobody", 2)
        assert ask(mine, "/closed") == (200, "type3", 1)


@test("a connection of everybody's becomes a client's; other schemes change nothing")
def shared_first(context):
    target = Bound(context)
    porthole = Porthole(context, {"/": {"endpoints": [target.endpoint], "connections": SLOW}})
    with wire.client(porthole.address) as mine, wire.client(porthole.address) as other:
        for client in (mine, other) * 3:
            assert ask(client, "/", "Authorization: Basic TlRMTQ==") == (200, "nobody", 1)
        assert ask(other, "/", "Authorization: NTLM bob") == (200, "bob", 1)
        assert ask(mine) == (200, "nobody", 2)
        assert ask(other) == (200, "bob", 1)


@test("a route's own Authorization: what comes over that connection is that client's, too")
def routes_own(context):
    target = Bound(context)
    set_it = {"request_headers": {"set": {"Authorization": "NTLM sidecar"}}}
    porthole = Porthole(context, targets={"t": {"endpoints": [target.endpoint], "connections": SLOW}},
                        routes={"/set": {"target": "t", **set_it}, "/": "t"})
    with wire.client(porthole.address) as mine, wire.client(porthole.address) as other:
        assert ask(mine, "/set") == (200, "sidecar", 1)
        assert ask(other, "/") == (200, "nobody", 2)
        assert ask(other, "/set") == (200, "sidecar", 2)
        assert ask(mine, "/") == (200, "sidecar", 1)


@test("a client's connection that the target has ended: the next request goes over a new one, as nobody's")
def ended(context):
    target = Bound(context)
    porthole = Porthole(context, {"/": {"endpoints": [target.endpoint], "connections": SLOW}})
    with wire.client(porthole.address) as mine:
        assert ask(mine, "/", "Authorization: NTLM alice") == (200, "alice", 1)
        with target.lock:
            for sock in target.open:
                sock.shutdown(2)
        peers.until(lambda: target.ended == [1], 5)
        assert ask(mine) == (200, "nobody", 2)


@test("many clients with an identity each: never another's, idle ones give way at connections.max, nothing is left open")
def crowd(context):
    target = Bound(context)
    limits = {"max": 8, "idle_timeout": "200ms"}
    porthole = Porthole(context, {"/": {"endpoints": [target.endpoint], "connections": limits}}, workers=2)
    porthole.remember_fds()
    wrong, lock = [], threading.Lock()

    def come(i):
        for _ in range(10):
            with wire.client(porthole.address) as client:
                said = False
                for turn in range(6):
                    lines = [f"Authorization: NTLM user{i}"] if turn == 2 else []
                    said = said or turn == 2
                    _, user, _ = ask(client, "/", *lines)
                    if user not in ("nobody", f"user{i}") or (not said and user != "nobody"):
                        with lock:
                            wrong.append((i, turn, user))

    peers.together(24, come)
    assert not wrong, wrong[:10]
    porthole.check_all_forwarded()
    porthole.check_fds()
