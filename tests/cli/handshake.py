"""A TCP client whose handshake takes its time: it begins before a porthole lets go of the port, and ends afterwards.

usage: unshare --net handshake.py PORTHOLE DIRECTORY HOW
HOW: reload (the port is in the configuration no more) or stop. Prints "answered", "reset" or "nothing". The client is
this program itself, behind a tun device: what the kernel would do at once, it does when it wants to.
"""

import fcntl
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time

porthole, directory, how = sys.argv[1:]
HERE, THERE, PORT, OWN_PORT = "10.99.0.1", "10.99.0.2", 8080, 40000
SYN, ACK, PSH, RST, FIN = 2, 16, 8, 4, 1


def open_tun():
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"tun0", 0x1001)) # TUNSETIFF, IFF_TUN | IFF_NO_PI
    subprocess.run(["ip", "address", "add", HERE + "/24", "dev", "tun0"], check=True)
    subprocess.run(["ip", "link", "set", "tun0", "up"], check=True)
    return tun


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def send(tun, sequence, acknowledged, flags, data=b""):
    source, target = socket.inet_aton(THERE), socket.inet_aton(HERE)
    head = struct.pack("!HHIIBBHHH", OWN_PORT, PORT, sequence, acknowledged, 5 << 4, flags, 64240, 0, 0)
    pseudo = source + target + struct.pack("!BBH", 0, 6, len(head) + len(data))
    head = head[:16] + struct.pack("!H", checksum(pseudo + head + data)) + head[18:]
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(head) + len(data), 1, 0, 64, 6, 0, source, target)
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    os.write(tun, ip + head + data)


def receive(tun, seconds):
    """The next segment for us: sequence, flags, data; None when there is none."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and select.select([tun], [], [], left)[0]:
        packet = os.read(tun, 65536)
        if packet[0] >> 4 != 4 or packet[9] != 6:
            continue
        segment = packet[(packet[0] & 15) * 4:]
        if struct.unpack("!HH", segment[:4]) == (PORT, OWN_PORT):
            return struct.unpack("!I", segment[4:8])[0], segment[13], segment[(segment[12] >> 4) * 4:]
    return None


def write_configuration(*binds):
    answer = [{"respond": {"status": 200, "body": "hi"}}]
    with open(f"{directory}/next.json", "w") as file:
        json.dump({"watch": False, "listeners": [{"bind": bind, "routes": answer} for bind in binds]}, file)
    os.rename(f"{directory}/next.json", f"{directory}/porthole.json")


def await_line(text):
    end = time.monotonic() + 20
    while text not in open(f"{directory}/run.err").read():
        assert time.monotonic() < end, text
        time.sleep(0.005)


def go_away(process):
    if how == "reload":
        write_configuration(f"unix:{directory}/app.sock")
        process.send_signal(signal.SIGHUP)
        await_line("reloaded")
    else:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.02)


subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
tun = open_tun()
write_configuration(f"unix:{directory}/app.sock", f"tcp:{HERE}:{PORT}")
with open(f"{directory}/run.err", "w") as log:
    process = subprocess.Popen([porthole, "run", "-c", f"{directory}/porthole.json"], stderr=log)
await_line("allow so many clients")
send(tun, 1000, 0, SYN)
sequence, flags, _ = receive(tun, 5)
assert flags == SYN | ACK, flags
begun = time.monotonic()
go_away(process)
send(tun, 1001, sequence + 1, ACK)
is_late = time.monotonic() - begun > 0.2  # the port is open for 250 ms
send(tun, 1001, sequence + 1, ACK | PSH, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
answer = b""
while b"hi" not in answer:
    segment = receive(tun, 5)
    if not segment or segment[1] & (RST | FIN):
        break
    answer += segment[2]
print("answered" if b"200 OK" in answer else "late" if is_late else "reset" if segment else "nothing")
process.terminate()
process.wait()
