"""The three programs, each with one listener and one target for every payload, so that nothing of one payload can reach
another and what an origin receives needs no guessing. All of them are set up as their manuals teach it for a plain
reverse proxy, with the same short times."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time

TIMEOUT_S = 3
START_S = 30

NAMES = ("porthole", "nginx", "haproxy")
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def program(name):
    return os.environ["PORTHOLE"] if name == "porthole" else shutil.which(name, path=PATH)


class Proxy:
    """One running program. Its sockets are DIR/NAME.c.N for clients and DIR/NAME.o.N for origins."""

    def __init__(self, name, directory, n_slots):
        self.name, self.directory, self.n_slots = name, directory, n_slots
        self.process = None
        self.log = os.path.join(directory, f"{name}.log")

    def client_path(self, slot):
        return os.path.join(self.directory, f"{self.name}.c.{slot}")

    def origin_path(self, slot):
        return os.path.join(self.directory, f"{self.name}.o.{slot}")

    def start(self):
        configuration = os.path.join(self.directory, f"{self.name}.conf")
        with open(configuration, "w", encoding="ascii") as out:
            out.write(CONFIGURATIONS[self.name](self))
        command = {
            "porthole": ["run", "-c", configuration],
            "nginx": ["-p", self.directory, "-e", self.log, "-c", configuration],
            "haproxy": ["-db", "-f", configuration],
        }[self.name]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [program(self.name)] + command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._await_sockets()

    def _await_sockets(self):
        limit = time.monotonic() + START_S
        for slot in range(self.n_slots):
            while not _answers(self.client_path(slot)):
                if self.process.poll() is not None or time.monotonic() > limit:
                    raise RuntimeError(f"{self.name} does not serve: {self.last_words()}")
                time.sleep(0.01)

    def last_words(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()[-2000:]

    def stop(self):
        """True when it was still alive."""
        if not self.process:
            return False
        alive = self.process.poll() is None
        if alive:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        return alive


def _answers(path):
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
            return True
        except OSError:
            return False


def _porthole(proxy):
    seconds = f"{TIMEOUT_S}s"
    return json.dumps(
        {
            "drain": "0s",
            "listeners": [
                {
                    "bind": "unix:" + proxy.client_path(slot),
                    "forwarded": "append",  # as the others do
                    "timeouts": {"head": seconds, "body": seconds, "idle": seconds},
                    "routes": [{"target": f"t{slot}"}],
                }
                for slot in range(proxy.n_slots)
            ],
            "targets": {
                f"t{slot}": {
                    "endpoints": ["unix:" + proxy.origin_path(slot)],
                    "connections": {"idle": 0},
                    "timeouts": {"response": seconds, "idle": seconds, "tunnel": seconds},
                }
                for slot in range(proxy.n_slots)
            },
        }
    )


NGINX = """
daemon off; master_process off; worker_processes 1; pid {dir}/nginx.pid; error_log {log} error;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {dir}/nb; proxy_temp_path {dir}/np; fastcgi_temp_path {dir}/nf;
    uwsgi_temp_path {dir}/nu; scgi_temp_path {dir}/ns;
    client_header_timeout {s}; client_body_timeout {s}; keepalive_timeout {s}; send_timeout {s};
    lingering_timeout 1s; lingering_time 1s;
    map $http_upgrade $connection_upgrade {{ default upgrade; "" close; }}
    proxy_http_version 1.1; proxy_request_buffering off; proxy_read_timeout {s}; proxy_send_timeout {s};
    proxy_next_upstream off;
    proxy_set_header Host $http_host;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;
{servers}
}}
"""


def _nginx(proxy):
    servers = "\n".join(
        f"    server {{ listen unix:{proxy.client_path(slot)};"
        f" location / {{ proxy_pass http://unix:{proxy.origin_path(slot)}; }} }}"
        for slot in range(proxy.n_slots)
    )
    return NGINX.format(dir=proxy.directory, log=proxy.log, s=f"{TIMEOUT_S}s", servers=servers)


HAPROXY = """
global
    maxconn 2000
    nbthread 1
defaults
    mode http
    http-reuse never
    retries 0
    timeout connect {s}
    timeout client {s}
    timeout server {s}
    timeout http-request {s}
    timeout http-keep-alive {s}
    timeout tunnel {s}
"""


def _haproxy(proxy):
    slots = "".join(
        f"listen l{slot}\n    bind unix@{proxy.client_path(slot)}\n    server s unix@{proxy.origin_path(slot)}\n"
        for slot in range(proxy.n_slots)
    )
    return HAPROXY.format(s=f"{TIMEOUT_S}s") + slots


CONFIGURATIONS = {"porthole": _porthole, "nginx": _nginx, "haproxy": _haproxy}
