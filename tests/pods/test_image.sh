#!/bin/bash
# The image: what is in it, what it says of itself, and that it serves on its own.
# shellcheck disable=SC1091,SC2154,SC2317 # common.sh sets top and work, and calls the functions
. "$(dirname "$0")/common.sh"

sockets=$work/image-sockets
config=$work/image-config
server=

stop_server() { [ -z "$server" ] || kill "$server"; }

files_are_expected() {
    local expected actual
    expected='/etc/group
/etc/nsswitch.conf
/etc/passwd
/etc/ssl/certs/ca-certificates.crt
/lib/libc.so.6
/lib/loader
/porthole
/run/porthole/
/usr/share/doc/porthole/licenses'
    # One list for all machines: their names for the loader and for the library directory differ.
    actual=$(cd "$work/rootfs" && find . -type d -empty -printf '%p/\n' -o ! -type d -print |
        sed -E -e 's|^\.||' -e 's|^/lib(64)?/([^/]*/)?ld-linux[^/]*$|/lib/loader|' \
            -e 's|^/lib/[^/]*-linux-gnu[^/]*/|/lib/|' | LC_ALL=C sort)
    equal "$expected" "$actual"
}

inspect() { pod image inspect --format "$1" porthole; }

size_is_small() {
    local bytes
    bytes=$(inspect '{{.Size}}')
    echo "$bytes bytes"
    [ "$bytes" -lt $((12 * 1024 * 1024)) ]
}

version_is_the_label() {
    local label
    label=$(inspect '{{index .Labels "org.opencontainers.image.version"}}')
    equal "$(sed -n 's/^VERSION ?= //p' "$top/Makefile")" "$label" &&
        contains "$(pod run --rm --network none porthole version)" "porthole $label"
}

libraries_are_expected() {
    local text least
    text=$(pod run --rm --network none porthole version)
    least=$(sed -n 's/^LIBMICROHTTPD := //p' "$top/Makefile")
    equal "$least" "$(printf '%s\n' "$least" "$(sed -n 's/^libmicrohttpd //p' <<<"$text")" | sort -V | head -n 1)" &&
        contains "$text" 'libcurl 8.14.1'
}

licences_are_there() {
    local file=$work/rootfs/usr/share/doc/porthole/licenses text
    pod run --rm --network none porthole version --licenses | cmp - "$file" || return
    for text in 'Apache License' 'GNU LESSER GENERAL PUBLIC LICENSE' 'libmicrohttpd\.a$' 'libcurl\.a$' \
        'libcrypto\.a libssl\.a$' 'libjansson\.a$' 'libpcre2-8\.a$' 'libz\.a$' 'libzstd\.a$'; do
        grep -q "$text" "$file" || { echo "not in $file: $text"; return 1; }
    done
}

# A target with a certificate of its own making; its port goes to build/pods/port.
start_tls_target() {
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
        -keyout "$work/key.pem" -out "$config/ca.pem" 2>/dev/null
    /usr/bin/python3 - "$config/ca.pem" "$work/key.pem" >"$work/port" 2>"$work/target.log" <<'END' &
import http.server, ssl, sys

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = b"secret of " + self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(server.server_port, flush=True)
server.serve_forever()
END
    server=$!
}

write_configuration() {
    within 10 test -s "$work/port" || return
    cat >"$config/porthole.json" <<END
{ "listeners": [
    { "bind": "unix:/run/porthole/app.sock", "mode": "0666", "routes": [
        { "match": { "path_prefix": "/known" }, "target": "known" },
        { "match": { "path_prefix": "/unknown" }, "target": "unknown" } ] },
    { "bind": "unix:/run/porthole/health.sock", "routes": [ { "respond": { "status": 200 } } ] } ],
  "targets": {
    "known": { "endpoints": ["https://localhost:$(cat "$work/port")"], "tls": { "ca": "/etc/porthole/ca.pem" } },
    "unknown": { "endpoints": ["https://localhost:$(cat "$work/port")"] } } }
END
}

run_image() {
    pod run --detach --name porthole --network host --read-only --cap-drop ALL --security-opt no-new-privileges \
        --volume "$sockets:/run/porthole" --volume "$config:/etc/porthole:ro" porthole
}

get() { curl --silent --max-time 10 --unix-socket "$sockets/app.sock" "$@"; }
status_of() { get --output /dev/null --write-out '%{http_code}' "$1"; }

process_line() { # KEY
    sed -n "s/^$1:[[:space:]]*//p" "/proc/$(pod inspect --format '{{.State.Pid}}' porthole)/status" | tr '\t' ' '
}

process_is_confined() {
    equal '65532 65532 65532 65532' "$(process_line Uid)" && equal '65532 65532 65532 65532' "$(process_line Gid)" &&
        equal 0000000000000000 "$(process_line CapEff)" && equal 1 "$(process_line NoNewPrivs)" &&
        equal 2 "$(process_line Seccomp)"
}

root_is_read_only() {
    local options
    options=$(awk '$5 == "/" { print $6 }' "/proc/$(pod inspect --format '{{.State.Pid}}' porthole)/mountinfo")
    contains ",$options," ',ro,'
}

stops_and_cleans_up() {
    pod stop --time 10 porthole && equal 0 "$(pod inspect --format '{{.State.ExitCode}}' porthole)" &&
        equal '' "$(ls -A "$sockets")"
}

rm -rf "$sockets" "$config" "$work/port"
provide porthole
trap 'stop_server; podman_clean' EXIT # instead of provide's
check 'the image can be unpacked, to be run on this machine' "$top/tests/pods/extract-binary.sh"
check 'it contains the expected files and no other' files_are_expected
check 'it is smaller than 12 MiB' size_is_small
check 'its user is 65532' equal 65532:65532 "$(inspect '{{.User}}')"
check 'its entry point is in exec form' equal '[/porthole] [run -c /etc/porthole/porthole.json]' \
    "$(inspect '{{.Config.Entrypoint}} {{.Config.Cmd}}')"
check 'its health check is in exec form' equal '[CMD /porthole probe unix:/run/porthole/health.sock]' \
    "$(inspect '{{.HealthCheck.Test}}')"
check "its version is the label's and the Makefile's" version_is_the_label
check 'its libcurl is that of Debian 13, its libmicrohttpd new enough' libraries_are_expected
check 'the licences of all that is linked in are there, and what the program prints' licences_are_there
check 'without a configuration it fails with status 78' \
    equal 78 "$(pod run --rm --network none porthole 2>/dev/null; echo $?)"

mkdir -p "$config" "$sockets"
chown 65532:65532 "$sockets"
start_tls_target
check 'a target with TLS starts' write_configuration
check 'the image runs, with a read-only root and without capabilities' run_image
check 'its health check passes' within 15 pod healthcheck run porthole
check 'its process is confined: user, capabilities, privileges, system calls' process_is_confined
check 'its root is read-only' root_is_read_only
check 'a target is found by name, and its certificate by "ca"' equal 'secret of /known' "$(get http://app/known)"
check 'a target with an unknown certificate is refused' equal 502 "$(status_of http://app/unknown)"
check 'it stops with status 0 and takes its sockets away' stops_and_cleans_up
finish
