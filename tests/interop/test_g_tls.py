"""Identity and trust of https targets while they change: certificates that are rotated, authorities that are withdrawn."""

import json
import os
import ssl
import time

import peers
import wire
from porthole import Porthole
from tap import test
from test_6_network import LOCAL, Authority, Other, reasons

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "config", "examples")


class Rotation:
    """A server that answers with who the client is and over which connection, and the files that porthole is given."""

    def __init__(self, context, server=None, client_ca=True, maximum=None):
        os.mkdir(context.path("other"))
        self.context, self.one, self.two = context, Authority(context), Authority(Other(context))
        self.server = server or self.one.server(LOCAL, client_ca=self.one.ca if client_ca else None)
        if maximum:
            self.server.maximum_version = maximum
        if client_ca:
            self.server.load_verify_locations(self.two.ca)
        self.reused, self.n_connections, self.ended = [], 0, []
        self.target = peers.Target(context, "tcp:127.0.0.1:0", self._answer,
                                   around=lambda sock: self.server.wrap_socket(sock, server_side=True))
        self.endpoint = self.target.endpoint.replace("http:", "https:")
        self.files = {name: context.path(f"live-{name}") for name in ("ca", "cert", "key")}
        self.put("ca", self.one.ca)
        self.put_client(self.one)

    def put(self, name, source):
        """As Kubernetes does it: whole, by a rename."""
        with open(source, "rb") as f:
            self.put_bytes(name, f.read())

    def put_bytes(self, name, data):
        with open(self.files[name] + ".new", "wb") as f:
            f.write(data)
        os.rename(self.files[name] + ".new", self.files[name])

    def put_client(self, authority):
        client = authority.client()
        self.put("cert", client["cert"])
        self.put("key", client["key"])

    def _answer(self, connection, _target):
        self.n_connections += 1
        number = self.n_connections
        self.reused.append(connection.sock.session_reused)
        certificate = connection.sock.getpeercert() or {"issuer": ((("", "nobody"),),), "serialNumber": ""}
        try:
            while True:
                wire.Request(connection)
                connection.send(wire.answer(f"{certificate['serialNumber']} {number}".encode()))
        finally:
            self.ended.append(number)

    def porthole(self, **tls):
        return Porthole(self.context, {"/": {"endpoints": [self.endpoint], "tls": {**self.files, **tls}}})


def ask(porthole, target="/", method="GET"):
    got = wire.exchange(porthole.address, method, target)
    return (got.status, *got.body.decode().split(" ")) if got.status == 200 else (got.status, None, None)


def await_change(porthole, before, seconds=5):
    """The next answer that is not as before; it comes within a second or so."""
    return peers.until(lambda: (now := ask(porthole)) != before and now, seconds, "a change")


@test("a client certificate that is rotated: the next connection shows the new one, and none of before is used")
def rotated(context):
    rotation = Rotation(context)
    porthole = rotation.porthole()
    first = ask(porthole)
    assert first[0] == 200 and [ask(porthole) for _ in range(5)] == [first] * 5
    rotation.put_client(rotation.two)
    second = await_change(porthole, first)
    assert second[0] == 200 and second[1] != first[1] and second[2] == "2", (first, second)
    assert [ask(porthole) for _ in range(5)] == [second] * 5
    peers.until(lambda: rotation.ended == [1], 5, "the end of the connection of before")
    porthole.check_all_forwarded()


def make_withdrawn_test(version):
    def run(context):
        rotation = Rotation(context, maximum=version)
        porthole = rotation.porthole()
        first = ask(porthole)
        assert first[0] == 200
        rotation.put("ca", rotation.two.ca)
        assert await_change(porthole, first)[0] == 502
        for _ in range(10):
            assert ask(porthole, "/withdrawn")[0] == 502
        porthole.check_outcomes("/withdrawn", 10, "tls_failed")
        assert "certificate" in reasons(porthole, "/withdrawn", 10), reasons(porthole, "/withdrawn", 10)
        rotation.put("ca", rotation.one.ca)
        assert ask(porthole)[0] == 200, "a new connection is made with what the file holds now"
        assert not any(rotation.reused), "a session was resumed, for which nobody looks at a certificate"

    test(f"an authority that is withdrawn is not believed any more, {version.name}; one that comes is, at once")(run)


for _version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
    make_withdrawn_test(_version)


@test("files in the middle of a rotation: half a key, a key of another certificate, none; each fails with its reason, and works when whole")
def halfway(context):
    rotation = Rotation(context)
    porthole = rotation.porthole()
    first = ask(porthole)
    with open(rotation.files["key"], "rb") as f:
        key = f.read()
    cases = {"/half": lambda: rotation.put_bytes("key", key[: len(key) // 2]),
             "/another": lambda: rotation.put("key", rotation.one.path("server.key")),
             "/none": lambda: os.unlink(rotation.files["key"]),
             "/no-cert": lambda: os.unlink(rotation.files["cert"]),
             "/no-ca": lambda: os.unlink(rotation.files["ca"])}
    whole = {name: open(path, "rb").read() for name, path in rotation.files.items()}  # pylint: disable=consider-using-with
    for path, damage in cases.items():
        damage()
        bad = await_change(porthole, first)
        assert bad[0] == 502, (path, bad)
        assert ask(porthole, path)[0] == 502
        porthole.check_outcomes(path, 1, "tls_failed")
        reason = reasons(porthole, path, 1)
        context.note(f"{path}: {reason}")
        assert ("key" in reason or "certificate" in reason) and "live-" in reason, (path, reason)
        for name, data in whole.items():
            rotation.put_bytes(name, data)
        first = ask(porthole)
        assert first[0] == 200, (path, "does not recover", first)


@test("a rotation under load: 8 clients, 12 rotations, not one request fails", 60)
def under_load(context):
    rotation = Rotation(context)
    porthole = rotation.porthole()
    end = time.monotonic() + 6
    pairs = []
    for authority in (rotation.one, rotation.two):
        client = authority.client()
        pairs.append([open(client[name], "rb").read() for name in ("cert", "key")])  # pylint: disable=consider-using-with
    # Both in one file, so that they change together.
    both = context.path("live-both")
    for name in ("cert", "key"):
        rotation.files[name] = both
    rotation.put_bytes("cert", pairs[0][0] + pairs[0][1])
    porthole.stop()
    patient = {"endpoints": [rotation.endpoint], "tls": rotation.files, "timeouts": {"connect": "20s"}}
    porthole = Porthole(context, {"/": patient}, name="loaded", workers=2)

    def come(_):
        seen = set()
        while time.monotonic() < end:
            got = wire.exchange(porthole.address, "POST", timeout=30)
            status, who = got.status, got.body.decode().partition(" ")[0]
            assert status == 200, (status, [entry for entry in porthole.entries() if entry["outcome"] != "forwarded"][:3])
            seen.add(who)
        return seen

    def rotate():
        for turn in range(12):
            rotation.put_bytes("cert", b"".join(pairs[turn % 2]))
            time.sleep(0.4)
        return {}

    seen = peers.together(9, lambda i: come(i) if i < 8 else rotate())
    assert len(set().union(*seen)) == 2, seen
    porthole.check_all_forwarded()


@test("tls.min_version: 1.3 refuses a server that knows 1.2 only, with the reason; 1.2 takes it")
def min_version(context):
    rotation = Rotation(context, maximum=ssl.TLSVersion.TLSv1_2)
    assert ask(rotation.porthole())[0] == 200
    porthole = Porthole(context, {"/": {"endpoints": [rotation.endpoint], "tls": {**rotation.files, "min_version": "1.3"}}},
                        name="strict", listener={"bind": f"unix:{context.path('strict.sock')}"})
    porthole.address = f"unix:{context.path('strict.sock')}"
    assert ask(porthole, "/old")[0] == 502
    porthole.check_outcomes("/old", 1, "tls_failed")
    assert "version" in reasons(porthole, "/old", 1), reasons(porthole, "/old", 1)
    rotation.server.maximum_version = ssl.TLSVersion.TLSv1_3
    assert ask(porthole)[0] == 200


@test("SSL_CERT_FILE names the authorities where tls.ca does not, and is read again like it")
def variable(context):
    rotation = Rotation(context, client_ca=False)
    os.environ["SSL_CERT_FILE"] = rotation.files["ca"]
    try:
        porthole = Porthole(context, {"/": rotation.endpoint})
    finally:
        del os.environ["SSL_CERT_FILE"]
    first = ask(porthole)
    assert first[0] == 200, porthole.output()
    rotation.put("ca", rotation.two.ca)
    assert await_change(porthole, first)[0] == 502


def serve_example(context, name, rotation):
    """A porthole with one of config/examples, to which the rotation's server and files are the variables."""
    with open(os.path.join(EXAMPLES, name), encoding="utf-8") as f:
        document = json.load(f)
    document["listeners"][0]["bind"] = f"unix:{context.path('app.sock')}"
    variables = {"API_HOST": rotation.endpoint.partition("//")[2],
                 **{f"{name.upper()}_FILE": path for name, path in rotation.files.items()}}
    os.environ.update(variables)
    try:
        return Porthole(context, listeners=document["listeners"], targets=document["targets"])
    finally:
        for variable_name in variables:
            del os.environ[variable_name]


@test("examples/private-authority.json: an authority is replaced, first beside the old one, then alone, and no request fails")
def authority_example(context):
    rotation = Rotation(context, client_ca=False)
    porthole = serve_example(context, "private-authority.json", rotation)
    first = ask(porthole)
    assert first[0] == 200, porthole.output()
    both = b"".join(open(authority.ca, "rb").read() for authority in (rotation.one, rotation.two))  # pylint: disable=consider-using-with
    rotation.put_bytes("ca", both)
    second = await_change(porthole, first)
    assert second[0] == 200, second
    rotation.server = rotation.two.server(LOCAL)
    rotation.put("ca", rotation.two.ca)
    third = await_change(porthole, second)
    assert third[0] == 200, third
    assert [ask(porthole) for _ in range(5)] == [third] * 5
    porthole.check_all_forwarded()
    # Whom the old authority has signed for is nobody now.
    rotation.server = rotation.one.server(LOCAL)
    rotation.put("ca", rotation.two.ca)
    assert await_change(porthole, third)[0] == 502
    assert ask(porthole, "/old")[0] == 502
    porthole.check_outcomes("/old", 1, "tls_failed")


@test("examples/credential-certificate.json: serves with the certificate, and with the next one without a reload")
def example(context):
    rotation = Rotation(context, server=None)
    porthole = serve_example(context, "credential-certificate.json", rotation)
    first = ask(porthole)
    assert first[0] == 200, porthole.output()
    rotation.put_client(rotation.two)
    second = await_change(porthole, first)
    assert second[0] == 200 and second[1] != first[1], (first, second)
