"""Configurations of any size, of porthole and of its peers, which all do the same: forward what comes to the last of the listeners,
by the last of the routes, to the last of the targets. Everything else is there, and not asked."""

import json
import os
import resource
from dataclasses import dataclass


def most_connections():
    """What a process here has descriptors for: two for each connection."""
    return min(16384, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 1500) // 2)


@dataclass(frozen=True)
class Shape:
    """How many of each there are; connections are those of the load."""
    connections: int = 32
    routes: int = 1
    workers: int = 1
    listeners: int = 1
    targets: int = 1
    anew: bool = False  # a connection for each request

    def path(self):
        return "/bytes/100" if self.routes == 1 else f"/r{self.routes - 1}/bytes/100"

    def listening(self, own):
        """Addresses; the last one is that of the run."""
        return [f"{own}/l{i}.sock" for i in range(self.listeners - 1)] + ["@SOCKET@"]

    def backends(self, own):
        """As many paths to the one backend as there are targets."""
        paths = [f"{own}/b{i}.sock" for i in range(self.targets)]
        for path in paths:
            if not os.path.islink(path):
                os.symlink("../backend.sock", path)
        return paths


def porthole(shape, own):
    last = f"t{shape.targets - 1}"
    routes = [{"target": last}]
    if shape.routes > 1:
        routes = [{"match": {"path_prefix": f"/r{i}"}, "target": last} for i in range(shape.routes)]
    targets = {f"t{i}": {"endpoints": [f"unix:{path}"], "connections": {"max": most_connections(), "idle": 512}}
               for i, path in enumerate(shape.backends(own))}
    listeners = [{"bind": f"unix:{path}", "backlog": 4096, "limits": {"connections": most_connections()}, "routes": routes}
                 for path in shape.listening(own)[:-1]]
    # The others have a route of their own, so that routes and listeners do not multiply.
    for listener in listeners:
        listener["routes"] = [{"target": last}]
    listeners.append({"bind": "unix:@SOCKET@", "backlog": 4096, "limits": {"connections": most_connections()}, "routes": routes})
    return json.dumps({"workers": shape.workers, "log": {"level": "warn"}, "listeners": listeners, "targets": targets})


NGINX = """daemon off;
worker_processes %(workers)d;
pid %(own)s/nginx.pid;
error_log %(own)s/nginx.log crit;
worker_rlimit_nofile %(descriptors)d;
events { worker_connections 32768; }
http {
    access_log off;
    client_body_temp_path %(own)s/body;
    proxy_temp_path %(own)s/proxy;
    fastcgi_temp_path %(own)s/fastcgi;
    uwsgi_temp_path %(own)s/uwsgi;
    scgi_temp_path %(own)s/scgi;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_header_timeout 1h;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $host;
%(upstreams)s
%(servers)s
}
"""


def nginx(shape, own):
    last = f"http://t{shape.targets - 1}"
    upstreams = [f"    upstream t{i} {{ server unix:{path}; keepalive 512; keepalive_requests 1000000000; keepalive_timeout 1h; }}"
                 for i, path in enumerate(shape.backends(own))]
    servers = []
    for path in shape.listening(own):
        many = path == "@SOCKET@" and shape.routes > 1
        locations = [f"location /r{i}/ {{ proxy_pass {last}; }}" for i in range(shape.routes)] if many else [
            f"location / {{ proxy_pass {last}; }}"]
        servers.append(f"    server {{ listen unix:{path} backlog=4096; {' '.join(locations)} }}")
    return NGINX % {"workers": shape.workers, "descriptors": resource.getrlimit(resource.RLIMIT_NOFILE)[0], "own": own,
                    "upstreams": "\n".join(upstreams), "servers": "\n".join(servers)}


HAPROXY = """global
    nbthread %(workers)d
    maxconn %(most)d
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout http-keep-alive 1h
    timeout http-request 1h
    maxconn %(most)d
frontend others
%(others)s
    default_backend %(last)s
frontend bench
    bind unix@@SOCKET@ backlog 4096
%(routes)s
%(backends)s
"""


def haproxy(shape, own):
    """Many routes by a map, as its documents have it."""
    last = f"t{shape.targets - 1}"
    routes = f"    default_backend {last}"
    if shape.routes > 1:
        with open(f"{own}/routes.map", "w") as f:
            f.writelines(f"/r{i}/ {last}\n" for i in range(shape.routes))
        routes = f"    use_backend %[path,map_beg({own}/routes.map)]"
    others = [f"    bind unix@{path} backlog 4096" for path in shape.listening(own)[:-1]] or [f"    bind unix@{own}/other.sock"]
    backends = [f"backend t{i}\n    http-reuse always\n    server b unix@{path}" for i, path in enumerate(shape.backends(own))]
    return HAPROXY % {"most": most_connections(), "workers": shape.workers, "others": "\n".join(others), "last": last, "routes": routes,
                      "backends": "\n".join(backends)}


MAKERS = {"porthole.json": porthole, "nginx.conf": nginx, "haproxy.cfg": haproxy}
