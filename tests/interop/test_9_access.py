"""Who may come in, and what the logs say about it."""

import json
import os
import subprocess
import time
import unicodedata

import peers
import wire
from porthole import Porthole, need_root
from tap import test

CHILD = """
import socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.settimeout(10)
try:
    sock.connect(sys.argv[1])
    sock.sendall(b"GET /child HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
    data = sock.recv(1000)
    print(data.split()[1].decode() if data else "closed")
except PermissionError:
    print("denied")
except (ConnectionError, BrokenPipeError):
    print("closed")
"""


def ask_as(context, uid, gid, groups=(), path=None):
    """What a process of that user gets: a status, "closed" or "denied"."""
    done = subprocess.run(["/usr/bin/python3", "-c", CHILD, path or context.path("app.sock")], user=uid, group=gid,
                          extra_groups=list(groups), capture_output=True, text=True, timeout=20, check=False,
                          cwd="/", env={"PATH": "/usr/bin:/bin"})
    return done.stdout.strip() or done.stderr


def guarded(context, allow, mode="0666"):
    target = peers.Target(context, f"unix:{context.path('target.sock')}", peers.echo)
    return Porthole(context, {"/": target.endpoint}, listener={"mode": mode, "peers": {"allow": allow}}), target


@test("peers.allow by uid: others are closed at once, nothing is forwarded")
def by_uid(context):
    need_root()
    porthole, target = guarded(context, [{"uid": 65001}])
    porthole.remember_fds()
    assert ask_as(context, 65001, 65001) == "200"
    accepted = target.n_accepted
    for uid in (65002, 0):
        assert ask_as(context, uid, 65001) == "closed", uid
    assert target.n_accepted == accepted
    assert len(porthole.entries("/child")) == 1
    assert porthole.entries("/child")[0]["peer"] == "unix:uid=65001,gid=65001", porthole.entries("/child")


@test("peers.allow by gid: primary and supplementary groups count, others don't")
def by_gid(context):
    need_root()
    guarded(context, [{"gid": 64000}])
    assert ask_as(context, 65001, 64000) == "200"
    assert ask_as(context, 65001, 65001, [64000]) == "200"
    assert ask_as(context, 65001, 65001, [64001, 64000, 64002]) == "200"
    assert ask_as(context, 65001, 65001, range(60000, 60100)) == "closed"
    assert ask_as(context, 65001, 65001, [*range(60000, 60100), 64000]) == "200"
    assert ask_as(context, 65001, 65001, [64001]) == "closed"
    assert ask_as(context, 64000, 65001) == "closed"


@test("peers.allow by uid and gid together: both must hold; several rules: one suffices")
def by_both(context):
    need_root()
    guarded(context, [{"uid": 65001, "gid": 64000}, {"uid": 65009}])
    assert ask_as(context, 65001, 64000) == "200"
    assert ask_as(context, 65001, 65001, [64000]) == "200"
    assert ask_as(context, 65001, 65001) == "closed"
    assert ask_as(context, 65002, 64000) == "closed"
    assert ask_as(context, 65009, 65009) == "200"


@test("peers who are not allowed leave nothing behind, a hundred times")
def refused_many(context):
    need_root()
    porthole, _ = guarded(context, [{"uid": 65001}])
    porthole.remember_fds()

    def ask(_):
        for _ in range(10):
            with wire.client(porthole.address) as client:
                try:
                    client.send(wire.head())
                    assert client.sock.recv(1) == b""
                except ConnectionError:
                    pass

    peers.together(10, ask)
    porthole.check_fds()
    assert not porthole.entries()


@test("abstract listener: its peer rules hold")
def abstract_rules(context):
    need_root()
    target = peers.Target(context, f"unix:{context.path('target.sock')}", peers.echo)
    name = os.path.basename(context.dir)
    # Readiness is found out by connecting, for which a refused peer is good enough.
    Porthole(context, listeners=[{"bind": f"unix:@{name}", "peers": {"allow": [{"uid": 65001}]},
                                  "routes": [{"target": target.endpoint}]}])
    child = CHILD.replace("sys.argv[1]", repr("\0" + name))

    def ask(uid):
        done = subprocess.run(["/usr/bin/python3", "-c", child], user=uid, group=uid, extra_groups=[], text=True,
                              capture_output=True, timeout=20, check=False, cwd="/", env={"PATH": "/usr/bin:/bin"})
        return done.stdout.strip() or done.stderr

    assert ask(65001) == "200"
    assert ask(65002) == "closed"


@test("access by the socket's mode, owner and group")
def by_mode(context):
    need_root()
    target = peers.Target(context, f"unix:{context.path('target.sock')}", peers.echo)
    cases = {
        "0600": {(65001, 64000): "200", (65002, 64000): "denied", (65002, 65002): "denied"},
        "0660": {(65001, 64000): "200", (65002, 64000): "200", (65002, 65002): "denied"},
        "0606": {(65001, 64000): "200", (65002, 64000): "denied", (65002, 65002): "200"},
        "0000": {(65001, 64000): "denied", (65002, 65002): "denied"},
    }
    for mode, expected in cases.items():
        path = context.path(f"{mode}.sock")
        porthole = Porthole(context, name=mode, listeners=[{"bind": f"unix:{path}", "mode": mode, "owner": "65001", "group": "64000",
                                                            "routes": [{"target": target.endpoint}]}])
        status = os.stat(path)
        assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (int(mode, 8), 65001, 64000), oct(status.st_mode)
        for (uid, gid), result in expected.items():
            assert ask_as(context, uid, gid, path=path) == result, (mode, uid, gid)
        porthole.stop()


# ---- logs ----

NASTY = (
    b'GET /a"b HTTP/1.1\r\nHost: x\r\n\r\n',
    b'GET /","outcome":"forged","x":" HTTP/1.1\r\nHost: x\r\n\r\n',
    b"GET /back\\slash\\ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /control\x01\x1b[31m\x7f HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /cr\rforged HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /tab\there HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /nul\0here HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /high\xff\xfe\xc3\x28\xe2\x80\xa8 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /nel\xc2\x85forged\xe2\x80\xaebidi HTTP/1.1\r\nHost: x\r\n\r\n",
    # Spaces that are not U+0020, and characters that show nothing at all: a no-break space, of Ogham, thin, ideographic,
    # a filler, tags, variation selectors, a soft hyphen, a byte order mark.
    *(b"GET /space" + text.encode() + b"outcome=forged HTTP/1.1\r\nHost: x\r\n\r\n"
      for text in ("\u00a0", "\u1680", "\u2009", "\u3000", "\u3164", "\U000e0041\U000e007f", "\ufe0f\U000e0100", "\u00ad",
                   "\ufeff", "\u200b\u2060")),
    b'G"T / HTTP/1.1\r\nHost: x\r\n\r\n',
    b"G\x01\nT / HTTP/1.1\r\nHost: x\r\n\r\n",
    b'GET /id HTTP/1.1\r\nHost: x\r\nX-Request-Id: a","outcome":"forged\r\n\r\n',
    b"GET /id HTTP/1.1\r\nHost: x\r\nX-Request-Id: a\x01b\r\n\r\n",
    b"GET /id HTTP/1.1\r\nHost: x\r\nX-Request-Id: a\rforged outcome=forged\r\n\r\n",
    b'GET /host HTTP/1.1\r\nHost: x","outcome":"forged\r\n\r\n',
    b"GET /%0a%0d%22 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /" + b'"\\' * 3000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /" + b"\x02" * 3000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"\n{"outcome":"forged"}\n',
    b"\r\n\r\n" + b'{"outcome":"forged"}\n' * 3,
)


def send_nasty(address):
    for data in NASTY:
        with wire.client(address, timeout=2) as client:
            try:
                client.send(data)
                wire.Response(client)
            except (OSError, EOFError, ValueError):
                pass


def make_log_test(to, log_format):
    def run(context):
        target = peers.Target(context, f"unix:{context.path('target.sock')}", peers.echo)
        path = context.path("nasty.log") if to == "file" else context.path("porthole.log")
        access = {"format": log_format, "to": path if to == "file" else "stdout"}
        porthole = Porthole(context, {"/": target.endpoint}, listener={"timeouts": {"head": "500ms"}},
                            log={"level": "debug", "format": log_format, "access": access})
        send_nasty(porthole.address)
        assert wire.exchange(porthole.address, target="/last").status == 200
        time.sleep(0.2)
        porthole.stop()
        with open(path, "rb") as f:
            data = f.read()
        assert data.endswith(b"\n") and b"/last" in data
        lines = data[:-1].split(b"\n")
        for line in lines:
            check_harmless(line)
            if log_format == "json":
                entry = json.loads(line)
                assert entry.get("outcome") != "forged", line
                assert "status" not in entry or entry["outcome"] in OUTCOMES, line
            else:
                check_plain(line.decode())
        # The access log has one line for each exchange and none for what never was one; nobody makes lines of his own.
        n_exchanges = sum(b"outcome" in line and b"bytes_in" in line and not is_of_error_log(line) for line in lines)
        assert n_exchanges <= len(NASTY) + 1, f"{n_exchanges} lines for {len(NASTY) + 1} requests"

    test(f"logs: nobody forges a line, access log in {log_format} to {to}")(run)


def is_of_error_log(line):
    return b'"level":' in line or line.split(b" ", 2)[1:2] in ([b"error"], [b"warn"], [b"info"], [b"debug"])


def check_harmless(line):
    """Text that no reader of lines and no terminal takes for more than text."""
    for character in line.decode("utf-8"):
        kind = unicodedata.category(character)
        assert kind not in ("Cc", "Cf", "Cn", "Co", "Zl", "Zp"), f"{character!r} in {line[:300]}"
        assert kind != "Zs" or character == " ", f"{character!r} in {line[:300]}"
        assert character not in UNSEEN, f"{character!r} in {line[:300]}"


# Letters and marks by category, but nothing to be seen (Default_Ignorable_Code_Point of Unicode).
UNSEEN = "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0" + "".join(map(chr, range(0xFE00, 0xFE10)))


OUTCOMES = ("forwarded", "malformed", "ambiguous_path", "client_gone", "head_timeout", "no_route", "not_supported",
            "header_too_large", "uri_too_long", "body_timeout", "undecided")


def check_plain(line):
    """key=value with values that are numbers or quoted, quotes inside escaped."""
    if " outcome=" not in line:
        return
    rest, keys = line.partition(" ")[2], []
    while rest:
        key, _, rest = rest.partition("=")
        keys.append(key)
        if not rest.startswith('"'):
            value, _, rest = rest.partition(" ")
            assert value.isdigit(), line[:300]
            continue
        end = 1
        while rest[end] != '"':
            end += 2 if rest[end] == "\\" else 1
        if key == "outcome":
            assert rest[1:end] in OUTCOMES, line[:300]
        rest = rest[end + 1 :].lstrip(" ")
    assert len(keys) == len(set(keys)), f"a key twice: {line[:300]}"


for _format in ("json", "plain"):
    make_log_test("file", _format)
    make_log_test("stdout", _format)


@test("logs: a reader of the access log that stops reading does not stop porthole")
def log_reader_stalls(context):
    target = peers.Target(context, f"unix:{context.path('target.sock')}", peers.echo)
    fifo = context.path("fifo")
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    context.callback(os.close, reader)
    porthole = Porthole(context, {"/": target.endpoint}, log={"access": {"format": "json", "to": fifo}})
    with wire.client(porthole.address) as client:
        for i in range(2000):
            client.send(wire.head("GET", f"/{'x' * 200}/{i}"))
            assert wire.Response(client).status == 200
    data, end = b"", time.monotonic() + 10
    while len(data) < 400_000 and time.monotonic() < end:
        try:
            data += os.read(reader, 65536)
        except BlockingIOError:
            wire.exchange(porthole.address)
    # What was written are whole lines.
    lines = data.split(b"\n")[:-1]
    assert lines and all(json.loads(line) for line in lines)
    porthole.stop()
