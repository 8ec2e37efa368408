# The first five minutes: what people get wrong, and what they are told, which has to say what to do.

load helper

# One row each: what it is, the file (ROUTES and BIND stand for a good one), what is said.
mistakes() {
    cat <<'ROWS'
a misspelt key|{ "listeners": [ { BIND, "modee": "0660", ROUTES } ] }|unknown key "modee": did you mean "mode"\?
a misspelt key at the top|{ "listener": [] }|unknown key "listener": did you mean "listeners"\?
a trailing comma|{ "listeners": [ { BIND, ROUTES, } ] }|JSON has no trailing commas
a comment //|// mine\n{ "listeners": [] }|JSON has no comments
a comment #|# mine\n{ "listeners": [] }|JSON has no comments
a comment /* */|{ /* mine */ "listeners": [] }|JSON has no comments
a mode that is a number|{ "listeners": [ { BIND, "mode": 660, ROUTES } ] }|expected an octal string such as "0660", not a number
a mode without its zero|{ "listeners": [ { BIND, "mode": "660", ROUTES } ] }|expected an octal string such as "0660", got "660"
a mode as ls has it|{ "listeners": [ { BIND, "mode": "rw-rw----", ROUTES } ] }|expected an octal string such as "0660"
a tilde|{ "listeners": [ { "bind": "unix:~/app.sock", ROUTES } ] }|"~" is the shell's; write unix:/absolute/path, or unix:\$\{HOME\}/path
$HOME|{ "listeners": [ { "bind": "unix:$HOME/app.sock", ROUTES } ] }|variables of the environment are written \$\{NAME\}
a relative path|{ "listeners": [ { "bind": "unix:run/app.sock", ROUTES } ] }|the path is relative; write unix:/absolute/path
no scheme|{ "listeners": [ { "bind": "/tmp/app.sock", ROUTES } ] }|write unix:/tmp/app.sock
unix://|{ "listeners": [ { "bind": "unix:///tmp/app.sock", ROUTES } ] }|write unix:/absolute/path, with one slash
curly quotes|{ “listeners”: [] }|straight quotes \("\), not in curly ones
single quotes|{ 'listeners': [] }|JSON strings are in double quotes
a key without quotes|{ listeners: [] }|keys and strings are in double quotes
YAML|listeners:\n  - bind: unix:/tmp/app.sock\n|this looks like YAML, TOML or another notation; a configuration is JSON
TOML|[listeners]\nbind = "unix:/tmp/app.sock"\n|this looks like YAML, TOML or another notation
a brace too few|{ "listeners": [ { BIND, ROUTES } ]|the file ends too early; a bracket or a quote is not closed
an empty file||the file is empty; expected a JSON object
two documents|{ "listeners": [ { BIND, ROUTES } ] } { }|something follows the end of the document
a byte order mark|\xef\xbb\xbf{ "listeners": [] }|byte order mark; save it as UTF-8 without one
UTF-16|\xff\xfe{\x00}\x00|the file is UTF-16; save it as UTF-8
a key twice|{ "listeners": [ { BIND, "mode": "0660",\n  "mode": "0600", ROUTES } ] }|:2:3: not valid JSON: the key "mode" is used twice in one object, first in line 1, column
an unknown user|{ "listeners": [ { BIND, "owner": "nobody-of-that-name", ROUTES } ] }|the user "nobody-of-that-name" is not in /etc/passwd; a number always works
an unknown group|{ "listeners": [ { BIND, "group": "no-such-group", ROUTES } ] }|the group "no-such-group" is not in /etc/group; a number always works
an owner that is a number|{ "listeners": [ { BIND, "owner": 1000, ROUTES } ] }|expected a string: a number such as "1000", or a name
listeners that are no array|{ "listeners": { BIND, ROUTES } }|expected an array with at least one listener, got an object
nothing at all|{ }|"listeners" is missing
no routes|{ "listeners": [ { BIND } ] }|a listener needs "routes" or "stream"
a route that does nothing|{ "listeners": [ { BIND, "routes": [ { "match": { "path": "/a" } } ] } ] }|a route needs "target", "respond"
an unknown target|{ "listeners": [ { BIND, "routes": [ { "target": "app" } ] } ] }|there is no target "app"; expected a name from "targets" or an address
a target without a scheme|{ "listeners": [ { BIND, "routes": [ { "target": "localhost:8080" } ] } ] }|expected unix:/PATH, unix:@NAME, http://HOST
a target with a path|{ "listeners": [ { BIND, "routes": [ { "target": "http://localhost:8080/api" } ] } ] }|expected a host and a port, without user, path or query
a tcp target of a route|{ "listeners": [ { BIND, "routes": [ { "target": "tcp:localhost:8080" } ] } ] }|for a route write http://localhost:8080
a duration that is a number|{ "listeners": [ { BIND, "timeouts": { "head": 10 }, ROUTES } ] }|expected a duration such as "250ms", "5s"
a duration in words|{ "listeners": [ { BIND, "timeouts": { "head": "10 seconds" }, ROUTES } ] }|expected a duration such as "250ms", "5s"
a size in megabytes|{ "listeners": [ { BIND, "limits": { "body": "10MB" }, ROUTES } ] }|expected a size such as "512B", "64KiB", "10MiB"
a boolean in quotes|{ "log": { "access": "true" }, "listeners": [ { BIND, ROUTES } ] }|expected true, false or an object, got "true"
a method in lower case|{ "listeners": [ { BIND, "routes": [ { "match": { "methods": ["get"] }, "target": "unix:/t" } ] } ] }|methods are case-sensitive; write it in upper case
a method that is no array|{ "listeners": [ { BIND, "routes": [ { "match": { "methods": "GET" }, "target": "unix:/t" } ] } ] }|expected an array of methods such as \["GET"\]
a path without a slash|{ "listeners": [ { BIND, "routes": [ { "match": { "path": "api" }, "target": "unix:/t" } ] } ] }|"api" has no "/" at its beginning
a host with a port|{ "listeners": [ { BIND, "routes": [ { "match": { "host": "a:80" }, "target": "unix:/t" } ] } ] }|a host name without a port \(routes match every port\)
a route below one that takes everything|{ "listeners": [ { BIND, "routes": [ { "target": "unix:/t" }, { "match": { "path": "/a" }, "target": "unix:/t" } ] } ] }|unreachable: route 1 above matches everything
a denial below what it denies|{ "listeners": [ { BIND, "routes": [ { "match": { "path_prefix": "/a" }, "target": "unix:/t" }, { "match": { "path": "/a/b" }, "deny": {} } ] } ] }|denies nothing: .* put the denial before it
a glob|{ "listeners": [ { BIND, "routes": [ { "match": { "path": "/a/*" }, "target": "unix:/t" } ] } ] }|warning: .*"\*" stands for itself here; path_regex matches by pattern
a broken pattern|{ "listeners": [ { BIND, "routes": [ { "match": { "path_regex": "/a(" }, "target": "unix:/t" } ] } ] }|is no regular expression: missing closing parenthesis \(byte 4\)
a pattern of half a path|{ "listeners": [ { BIND, "routes": [ { "match": { "path_regex": "^a.*" }, "target": "unix:/t" } ] } ] }|it must match the whole path, which begins with "/"
a variable that is not set|{ "listeners": [ { "bind": "unix:${PORTHOLE_NOT_SET}/app.sock", ROUTES } ] }|PORTHOLE_NOT_SET is not set, and no default is given \("\$\{PORTHOLE_NOT_SET:-default\}"\)
a port that is none|{ "listeners": [ { "bind": "tcp:127.0.0.1:99999", ROUTES } ] }|"99999" is not a port; expected 1 to 65535
no port|{ "listeners": [ { "bind": "tcp:127.0.0.1", ROUTES } ] }|the port is missing; write tcp:HOST:PORT
a socket twice|{ "listeners": [ { BIND, ROUTES }, { BIND, ROUTES } ] }|is the socket of the listener at
an abstract socket for everybody|{ "listeners": [ { "bind": "unix:@app", ROUTES } ] }|every process in the network namespace may connect. Add "peers"
null|{ "listeners": [ { BIND, "mode": null, ROUTES } ] }|expected an octal string such as "0660", got null
a certificate that is not there|{ "listeners": [ { BIND, "routes": [ { "target": "t" } ] } ], "targets": { "t": { "endpoints": ["https://a"], "tls": { "ca": "/nonexistent/ca.pem" } } } }|cannot read /nonexistent/ca.pem as uid [0-9]+: No such file
a mode for everybody|{ "listeners": [ { BIND, "mode": "0777", ROUTES } ] }|warning: .*everybody who can reach the directory may connect
a target that nobody uses|{ "targets": { "t": { "endpoints": ["unix:/t"] } }, "listeners": [ { BIND, ROUTES } ] }|warning: .*no listener uses this target
ROWS
}

@test "mistakes: every one in a file gets a message that says what to do" {
    n=0
    while IFS='|' read -r what file said; do
        file=${file//BIND/\"bind\": \"unix:$sock\"}
        file=${file//ROUTES/\"routes\": [ { \"target\": \"unix:/t\" \} ]}
        printf '%b' "$file" >"$dir/porthole.json"
        run "$porthole" check "$dir/porthole.json"
        [ "$status" -eq 78 ] || [[ $status -eq 0 && $said == warning:* ]] || { echo "$what: $status: $output"; false; }
        grep -qE -- "$said" <<<"$output" || { echo "$what: not '$said' in: $output"; false; }
        grep -qE "^$dir/porthole.json:[0-9]+:[0-9]+: " <<<"$output" || { echo "$what: no place in: $output"; false; }
        n=$((n + 1))
    done < <(mistakes)
    [ "$n" -eq "$(mistakes | wc -l)" ]
    [ "$n" -ge 42 ]
}

# What only a start can see: COMMAND..., then what is said.
starts_with() { # SAID
    run timeout 20 "$porthole" run "$dir/porthole.json"
    [ "$status" -ne 0 ] && [ "$status" -ne 124 ]
    grep -qE -- "$1" <<<"$output" || { echo "not '$1' in: $output"; false; }
}

@test "mistakes: a path that is no socket, a port in use and a socket in use are named at the start" {
    configure
    touch "$sock"
    starts_with "$sock.*(no socket|not a socket)"
    rm "$sock"
    start_porthole first
    starts_with "$sock.*(takeover|in use|already)"
    background busy socat -d -d TCP-LISTEN:0,bind=127.0.0.1,fork /dev/null
    eventually grep -q 'listening on' "$dir/busy.err"
    port=$(sed -n 's/.*listening on .*127.0.0.1:\([0-9]*\).*/\1/p' "$dir/busy.err")
    cat >"$dir/porthole.json" <<JSON
{ "listeners": [ { "bind": "tcp:127.0.0.1:$port", "routes": [ { "target": "unix:/t" } ] } ] }
JSON
    starts_with "another process serves tcp:127.0.0.1:$port"
}

@test "mistakes: a directory that may not be written is named at the start, with who we are" {
    [ "$(id -u)" -eq 0 ] || skip "needs root, to be somebody else"
    mkdir -m 0755 "$dir/closed"
    cat >"$dir/porthole.json" <<JSON
{ "listeners": [ { "bind": "unix:$dir/closed/app.sock", "routes": [ { "target": "unix:/t" } ] } ] }
JSON
    run setpriv --reuid 4001 --regid 4002 --clear-groups timeout 20 "$porthole" run "$dir/porthole.json"
    [ "$status" -eq 1 ]
    [[ $output == *"$dir/closed"*[Pp]ermission* ]]
}

@test "mistakes: a file that is not there, and one that is a directory" {
    run "$porthole" check "$dir/none.json"
    [[ $status -eq 78 && $output == *"$dir/none.json: cannot open: No such file"* ]]
    run "$porthole" check "$dir"
    [[ $status -eq 78 && $output == *'is a directory; expected a regular file'* ]]
}
