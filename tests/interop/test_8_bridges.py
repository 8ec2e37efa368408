"""Between kinds of sockets: Unix, abstract, TCP."""

import os

import peers
import test_4_bodies as bodies
import wire
from porthole import Porthole
from tap import Skip, test

MINE = {"peers": {"allow": [{"uid": os.geteuid()}]}}


def abstract(context, name):
    return f"unix:@{os.path.basename(context.dir)}-{name}"


def try_bridge(address, porthole):
    with wire.client(address) as client:
        for size in (0, 1, 65536, 1_000_000):
            for lines in ([], ["X-Answer: chunked"]):
                body = bodies.PATTERN[:size]
                client.send(wire.head("POST", f"/{size}", f"Content-Length: {size}", *lines) + body)
                got = wire.Response(client)
                assert got.status == 200 and got.body == body, (size, got.status)
    peers.together(20, lambda i: [wire.exchange(address, "PUT", f"/{i}", body=b"%d" % i).body == b"%d" % i or 1 / 0 for _ in range(5)])
    porthole.check_all_forwarded()


@test("abstract listener, Unix target")
def abstract_listener(context):
    target = peers.Target(context, f"unix:{context.path('target.sock')}", peers.echo)
    address = abstract(context, "front")
    porthole = Porthole(context, listeners=[{"bind": address, "routes": [{"target": target.endpoint}], **MINE}])
    try_bridge(address, porthole)


@test("Unix listener, abstract target; 503 target_refused when it is not there")
def abstract_target(context):
    address = abstract(context, "target")
    target = peers.Target(context, address, peers.echo)
    porthole = Porthole(context, {"/gone": abstract(context, "gone"), "/": address})
    try_bridge(porthole.address, porthole)
    assert wire.exchange(porthole.address, target="/gone").status == 503
    porthole.check_outcomes("/gone", 1, {"target_refused", "target_absent"})
    assert not target.errors, target.errors


@test("TCP listener, Unix target: the client's address is told")
def tcp_to_unix(context):
    seen = {}

    def script(connection, target):
        request = wire.Request(connection, body=False)
        if request.target == "/who":
            seen.update(request.fields)
            connection.send(wire.answer(b"", "Connection: close"))
        else:
            connection.send(wire.answer(connection.body(request.fields)))
            peers.echo(connection, target)

    target = peers.Target(context, f"unix:{context.path('target.sock')}", script)
    address = f"tcp:127.0.0.1:{peers.free_port()}"
    porthole = Porthole(context, listeners=[{"bind": address, "routes": [{"target": target.endpoint}]}])
    assert wire.exchange(address, target="/who").status == 200
    assert seen["x-forwarded-for"] == "127.0.0.1", seen
    assert "127.0.0.1" in seen["forwarded"], seen
    assert "127.0.0.1" in porthole.await_entries("/who", 1)[0]["peer"]
    try_bridge(address, porthole)


@test("TCP listener over IPv6, Unix target")
def tcp6_to_unix(context):
    try:
        with peers.listen("tcp:[::1]:0") as sock:
            address = f"tcp:[::1]:{sock.getsockname()[1]}"
    except OSError as error:
        raise Skip(f"no IPv6 here: {error}") from error
    target = peers.Target(context, f"unix:{context.path('target.sock')}", peers.echo)
    porthole = Porthole(context, listeners=[{"bind": address, "routes": [{"target": target.endpoint}]}])
    try_bridge(address, porthole)


@test("Unix listener, TCP target")
def unix_to_tcp(context):
    target = peers.Target(context, "tcp:127.0.0.1:0", peers.echo)
    porthole = Porthole(context, {"/": target.endpoint})
    try_bridge(porthole.address, porthole)


@test("a chain of three portholes: TCP to abstract to Unix to TCP")
def chain(context):
    target = peers.Target(context, "tcp:127.0.0.1:0", peers.echo)
    tcp, middle, inner = f"tcp:127.0.0.1:{peers.free_port()}", abstract(context, "middle"), f"unix:{context.path('inner.sock')}"
    Porthole(context, listeners=[{"bind": inner, "routes": [{"target": target.endpoint}]}], name="third")
    Porthole(context, listeners=[{"bind": middle, "routes": [{"target": inner}], **MINE}], name="second")
    first = Porthole(context, listeners=[{"bind": tcp, "routes": [{"target": middle}]}], name="first", workers=2)
    try_bridge(tcp, first)


@test("a chain that ends in itself is refused before it starts")
def circle(context):
    address = f"unix:{context.path('circle.sock')}"
    try:
        Porthole(context, listeners=[{"bind": address, "routes": [{"target": address}]}])
    except AssertionError as error:
        assert "circles" in str(error), error
        return
    raise AssertionError("it has started")


@test("a target whose path is longer than sockaddr_un")
def long_paths(context):
    deep = context.path("/".join(["d" * 60] * 3))
    os.makedirs(deep)
    directory = os.open(deep, os.O_PATH)
    context.callback(os.close, directory)
    target = peers.Target(context, f"unix:/proc/self/fd/{directory}/target.sock", peers.echo)
    porthole = Porthole(context, {"/": f"unix:{deep}/target.sock"})
    assert wire.exchange(porthole.address).status == 200
    assert not target.errors
