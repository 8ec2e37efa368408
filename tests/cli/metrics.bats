# Metrics: what a scraper reads of a porthole that serves, and what Prometheus makes of it.
# shellcheck disable=SC2154 # $status and $output come from bats, $pid from helper.bash

load helper

metrics=$BATS_TEST_DIRNAME/metrics.py
config=$BATS_TEST_DIRNAME/../../config

start_counting() { # [TOP-MEMBERS [LISTENER-MEMBERS]]
    port=$(free_port)
    configure "\"name\": \"app\", ${2-}" "\"admin\": [ { \"bind\": \"tcp:127.0.0.1:$port\" } ], ${1-}"
    start_porthole run
}

scrape() { # [CURL-OPTION...]
    curl --silent --show-error --max-time 20 "$@" "http://127.0.0.1:$port/metrics"
}

count() { # NAME [LABEL=VALUE...]
    scrape | /usr/bin/python3 "$metrics" value "$@"
}

# An exchange is counted a moment after its answer was sent.
counts() { # NUMBER NAME [LABEL=VALUE...]
    eventually count_is "$@"
}

count_is() {
    local n=$1
    shift
    [ "$(count "$@")" = "$n" ]
}

@test "metrics: promtool finds nothing to say, before and after requests of all kinds" {
    start_target
    start_counting
    scrape | promtool check metrics
    ask /still >/dev/null
    ask /still -X BREW >/dev/null
    ask '/a b' >/dev/null || true
    rm "$dir/target.sock"
    ask /gone >/dev/null
    scrape >"$dir/metrics"
    promtool check metrics <"$dir/metrics"
    grep -q '^# TYPE porthole_requests_total counter$' "$dir/metrics"
    scrape --include --header 'Accept: application/openmetrics-text; version=1.0.0' >"$dir/open"
    grep -qi '^content-type: application/openmetrics-text; version=1.0.0; charset=utf-8' "$dir/open"
    grep -q '^# TYPE porthole_requests counter$' "$dir/open"
    [ "$(tail -n 1 "$dir/open")" = '# EOF' ]
}

@test "metrics: each exchange is counted once, of four workers together, with its route, method, code and outcome" {
    local clients=() i
    start_target
    start_counting '"workers": 4,'
    for i in 1 2 3 4 5 6 7 8; do
        curl --silent --max-time 60 --output /dev/null --unix-socket "$sock" "http://app/$i?[1-50]" &
        clients+=($!)
    done
    wait "${clients[@]}"
    ask /head --head >/dev/null
    counts 0 porthole_requests_in_flight listener=app
    counts 400 porthole_requests_total listener=app route=app#1 method=GET code=200 outcome=forwarded
    counts 1 porthole_requests_total listener=app method=HEAD
    counts 401 porthole_request_duration_seconds_count listener=app route=app#1
    counts 401 porthole_request_duration_seconds_bucket listener=app le=+Inf
    counts 401 porthole_target_response_head_seconds_count
    counts 9 porthole_listener_connections_accepted_total listener=app
    [ "$(count porthole_target_connects_total result=connected)" -ge 1 ]
    counts 1 porthole_target_up
}

@test "metrics: connections to an endpoint are in use or idle, whichever target has made them" {
    start_target
    port=$(free_port)
    cat >"$dir/porthole.json" <<JSON
{ "admin": [ { "bind": "tcp:127.0.0.1:$port" } ],
  "listeners": [ { "bind": "unix:$sock", "routes": [ { "match": { "path": "/other" }, "target": "other" }, { "target": "app" } ] } ],
  "targets": { "app": { "endpoints": [ "unix:$dir/target.sock" ] }, "other": { "endpoints": [ "unix:$dir/../$(basename "$dir")/target.sock" ] } } }
JSON
    start_porthole run
    counts 0 porthole_target_connections target=app state=idle
    ask /one >/dev/null
    for target in app other; do
        counts 1 porthole_target_connections "target=$target" state=idle
        counts 0 porthole_target_connections "target=$target" state=in_use
    done
    background slow curl --silent --unix-socket "$sock" http://app/held/never
    counts 1 porthole_target_connections target=other state=in_use
    counts 0 porthole_target_connections target=other state=idle
    counts 1 porthole_target_connections_in_use target=app
    counts 0 porthole_target_connections_in_use target=other
    scrape | promtool check metrics
}

@test "metrics: counters go on through reloads, and say what became of them" {
    local before after
    start_target
    start_counting '"watch": false,'
    ask /still >/dev/null
    counts 0 porthole_requests_in_flight listener=app
    before=$(count porthole_requests_total listener=app)
    counts 1 porthole_config_last_reload_successful
    sed -i "s|\"name\": \"app\",|& \"backlog\": 7,|" "$dir/porthole.json"
    kill -HUP "$pid"
    counts 1 porthole_config_reloads_total result=ok
    ask /still >/dev/null
    counts 0 porthole_requests_in_flight listener=app
    after=$(count porthole_requests_total listener=app route=app#1)
    [ "$before" = 1 ] && [ "$after" = 2 ]
    counts 1 porthole_target_connects_total result=connected
    echo '{' >"$dir/porthole.json"
    kill -HUP "$pid"
    counts 1 porthole_config_reloads_total result=failed
    counts 0 porthole_config_last_reload_successful
    counts 1 porthole_ready
    # What is not served any more stays counted, and is not said to be down.
    printf '{ "watch": false, "admin": [ { "bind": "tcp:127.0.0.1:%s" } ], "listeners": [ { "name": "app", "bind": "unix:%s", "routes": [ { "name": "ping", "respond": { "status": 204 } } ] } ] }' \
        "$port" "$sock" >"$dir/porthole.json"
    kill -HUP "$pid"
    counts 2 porthole_config_reloads_total result=ok
    ask /ping
    counts 2 porthole_requests_total listener=app route=app#1
    counts 1 porthole_requests_total listener=app route=ping code=204
    counts none porthole_target_up
}

@test "metrics: a target that is away is not up, by its connects or by its checks" {
    local target
    start_target
    target=$pid
    start_counting
    ask /still >/dev/null
    counts 1 porthole_target_up
    kill "$target"
    rm "$dir/target.sock"
    await_end "$target"
    ask /still >/dev/null
    counts 0 porthole_target_up
    [ "$(count porthole_target_connects_total result=target_absent)" -ge 1 ]
}

@test "metrics: peers that are refused, and a socket that was removed" {
    start_target
    start_counting '"watch": false,' '"peers": { "deny": [ { "uid": 4294967294 } ] },'
    counts none porthole_listener_connections_refused_total
    sed -i 's/"deny": \[ { "uid": 4294967294 }/"deny": [ { "uid": '"$(id -u)"' }/' "$dir/porthole.json"
    kill -HUP "$pid"
    counts 1 porthole_config_reloads_total result=ok
    fails ask /still
    counts 1 porthole_listener_connections_refused_total listener=app reason=peer
    rm "$sock"
    counts 1 porthole_listener_published_again_total listener=app
}

@test "metrics: more routes than there are series for are counted together" {
    local i routes=
    for ((i = 0; i < 1100; i++)); do
        routes+="{ \"name\": \"route$i\", \"match\": { \"path\": \"/$i\" }, \"respond\": { \"status\": 204 } }, "
    done
    port=$(free_port)
    printf '{ "admin": [ { "bind": "tcp:127.0.0.1:%s" } ], "listeners": [ { "name": "app", "bind": "unix:%s", "routes": [ %s { "name": "last", "deny": { "status": 403 } } ] } ] }' \
        "$port" "$sock" "$routes" >"$dir/porthole.json"
    start_porthole run
    [ "$(grep -c 'there are too many names to count each by itself' "$dir/run.err")" = 1 ]
    curl --silent --output /dev/null --unix-socket "$sock" 'http://app/[0-1099]'
    counts 1100 porthole_requests_total listener=app code=204
    counts 1 porthole_requests_total listener=app route=route1023
    counts 76 porthole_requests_total listener=app route=other
    counts none porthole_requests_total listener=app route=route1024
    scrape | promtool check metrics
}

@test "metrics: a Prometheus that scrapes them has the requests of a run, all of them" {
    local ui
    start_target
    start_counting '"workers": 2,'
    ui=$(free_port)
    cat >"$dir/prometheus.yml" <<YAML
global: { scrape_interval: 1s, scrape_timeout: 1s }
rule_files: [ "$(realpath "$config/prometheus/alerts.yml")" ]
scrape_configs:
  - job_name: porthole
    static_configs: [ { targets: [ "127.0.0.1:$port" ] } ]
YAML
    promtool check config "$dir/prometheus.yml"
    background prometheus prometheus --config.file="$dir/prometheus.yml" --storage.tsdb.path="$dir/data" \
        --web.listen-address="127.0.0.1:$ui" --log.level=warn
    curl --silent --max-time 60 --output /dev/null --unix-socket "$sock" 'http://app/run?[1-777]'
    # shellcheck disable=SC2317 # it is called by eventually
    asked() { # QUERY VALUE
        [ "$(curl --silent --max-time 5 --get --data-urlencode "query=$1" "http://127.0.0.1:$ui/api/v1/query" | jq -r '.data.result[0].value[1]')" = "$2" ]
    }
    eventually asked 'sum(porthole_requests_total{listener="app",outcome="forwarded"})' 777
    eventually asked 'sum(porthole_request_duration_seconds_count{listener="app"})' 777
    eventually asked 'up{job="porthole"}' 1
    eventually asked 'count(ALERTS) or vector(0)' 0
}

@test "metrics: the dashboard and the alerts ask for what there is" {
    /usr/bin/python3 "$metrics" used "$config/grafana/porthole.json"
    /usr/bin/python3 "$metrics" used "$config/prometheus/alerts.yml"
    promtool check rules "$config/prometheus/alerts.yml"
}

@test "metrics: each alert fires for what it is about, and not for what is beside it" {
    promtool test rules "$BATS_TEST_DIRNAME/alerts.yml"
    sed -n 's/^ *- alert: //p' "$config/prometheus/alerts.yml" | sort >"$dir/rules"
    sed -n 's/^ *- alertname: //p' "$BATS_TEST_DIRNAME/alerts.yml" | sort | diff "$dir/rules" -
}

@test "metrics: the reference names all families, as the table has them" {
    sed -n '/<!-- families of metrics -->/,/^$/p' "$config/README.md" | grep '^| `' >"$dir/told"
    /usr/bin/python3 "$metrics" reference | diff - "$dir/told"
}

@test "metrics: a tunnel is counted while it is open and when it ends, and is no request" {
    port=$(free_port)
    background echo socat "UNIX-LISTEN:$dir/echo.sock,fork" EXEC:cat
    eventually test -S "$dir/echo.sock"
    printf '{ "admin": [ { "bind": "tcp:127.0.0.1:%s" } ], "listeners": [ { "name": "raw", "bind": "unix:%s", "stream": { "target": "unix:%s" } } ] }' \
        "$port" "$sock" "$dir/echo.sock" >"$dir/porthole.json"
    start_porthole run
    start_idle_client
    counts 1 porthole_tunnels listener=raw protocol=stream
    [ "$(printf abcde | socat -t 10 - "UNIX-CONNECT:$sock")" = abcde ]
    counts 1 porthole_tunnels_total listener=raw route= protocol=stream outcome=tunneled
    counts 1 porthole_tunnel_duration_seconds_count listener=raw
    counts 5 porthole_tunnel_bytes_total listener=raw direction=sent
    counts 5 porthole_tunnel_bytes_total listener=raw direction=received
    counts 1 porthole_tunnels
    counts none porthole_requests_total listener=raw
    counts 1 porthole_listener_connections listener=raw state=tunnel
}

# Of one listener that answers by itself.
start_answering_and_counting() { # MEMBERS-OF-LISTENER MEMBERS-OF-TOP
    port=$(free_port)
    printf '{ "admin": [ { "bind": "tcp:127.0.0.1:%s" } ], %s "listeners": [ { "name": "app", %s "bind": "unix:%s", "routes": [ { "respond": { "status": 204 } } ] } ] }' \
        "$port" "${2-}" "${1-}" "$sock" >"$dir/porthole.json"
    start_porthole run
}

is_between() { # LEAST NUMBER MOST
    awk -v least="$1" -v n="$2" -v most="$3" 'BEGIN { exit !(n + 0 >= least + 0 && n + 0 <= most + 0) }'
}

@test "metrics: the time for which limits.connections keeps clients waiting is as long as they wait" {
    local began least most saturated
    start_target
    start_counting '' '"limits": { "connections": 1 },'
    counts 0 porthole_listener_waiting_connections listener=app
    counts 0.0 porthole_listener_saturated_seconds_total listener=app
    background first curl --silent --max-time 20 --unix-socket "$sock" http://app/held/first
    await_request /held/first
    began=$(ms_now)
    background second curl --silent --max-time 20 --unix-socket "$sock" http://app/second
    counts 1 porthole_listener_waiting_connections listener=app
    least=$(ms_now)
    sleep 1
    least=$(($(ms_now) - least))
    touch "$dir/first"
    eventually grep -qx 'GET /second' "$dir/second.out"
    most=$(($(ms_now) - began))
    counts 0 porthole_listener_waiting_connections listener=app
    saturated=$(count porthole_listener_saturated_seconds_total listener=app)
    is_between "$least" "$(awk -v s="$saturated" 'BEGIN { print s * 1000 }')" "$most"
    sleep 0.2
    [ "$(count porthole_listener_saturated_seconds_total listener=app)" = "$saturated" ]
}

@test "metrics: who waits in the kernel for want of descriptors is in the backlog, who was accepted is told of besides" {
    # shellcheck disable=SC3045 # bash has it
    ulimit -n 64
    start_answering_and_counting '"timeouts": { "head": "60s" },'
    counts 0 porthole_listener_backlog listener=app
    counts 0 porthole_listener_backlog "listener=tcp:127.0.0.1:$port"
    # It ends when those who are in, in the room and in the backlog are all 50.
    /usr/bin/python3 "$BATS_TEST_DIRNAME/crowd.py" "$sock" 50 "$port" >"$dir/metrics"
    value() { # NAME [LABEL=VALUE...]
        /usr/bin/python3 "$metrics" value "$@" <"$dir/metrics"
    }
    [ "$(value porthole_listener_backlog listener=app)" -gt 0 ]
}

@test "metrics: lines that a reader of the access log does not take are counted, each of them" {
    local told dropped confessed
    mkfifo "$dir/run.out"
    exec 9<>"$dir/run.out"
    start_answering_and_counting '' '"log": { "access": { "to": "stdout", "format": "json" } },'
    counts 0 porthole_log_lines_dropped_total log=access
    curl --silent --output /dev/null --unix-socket "$sock" 'http://app/[1-2000]'
    counts 0 porthole_requests_in_flight listener=app
    dropped=$(count porthole_log_lines_dropped_total log=access)
    [ "$dropped" -gt 0 ]
    background reader cat "$dir/run.out"
    ask /last
    eventually grep -q '/last' "$dir/reader.out"
    told=$(jq -s 'map(select(.listener == "app")) | length' "$dir/reader.out")
    confessed=$(jq -s 'map(.dropped_lines // 0) | add' "$dir/reader.out")
    [ "$((told + dropped))" = 2001 ]
    [ "$confessed" = "$dropped" ]
    counts "$dropped" porthole_log_lines_dropped_total log=access
    counts 0 porthole_log_lines_dropped_total log=error
}

certificate() { # NAME DAYS
    openssl req -x509 -newkey rsa:2048 -nodes -days "$2" -subj "/CN=$1.test" -addext "subjectAltName=DNS:$1.test" \
        -keyout "$dir/$1.key" -out "$dir/$1.pem" 2>"$dir/openssl.err"
}

ends() { # NAME
    date -d "$(openssl x509 -enddate -noout -in "$dir/$1.pem" | cut -d = -f 2)" +%s
}

@test "metrics: until when certificates are good, the endpoint's and ours, and the version of TLS in log and tap" {
    local tls
    certificate good 2
    certificate client 3
    cat "$dir/good.pem" "$dir/good.key" >"$dir/both"
    port=$(free_port)
    tls=$(free_port)
    echo 200 >"$dir/mode"
    background https /usr/bin/python3 "$BATS_TEST_DIRNAME/unwell.py" "$tls" "$dir/mode" "$dir/both"
    eventually accepts "$tls"
    cat >"$dir/porthole.json" <<JSON
{ "admin": [ { "bind": "tcp:127.0.0.1:$port" }, { "bind": "unix:$dir/admin.sock" } ],
  "log": { "access": { "to": "$dir/access", "format": "json", "fields": [ "request", "status", "tls" ] } },
  "listeners": [ { "name": "app", "bind": "unix:$sock", "routes": [ { "match": { "path": "/plain" }, "respond": { "status": 204 } }, { "target": "t" } ] } ],
  "targets": { "t": { "endpoints": [ "https://127.0.0.1:$tls" ],
    "tls": { "ca": "$dir/good.pem", "server_name": "good.test", "cert": "$dir/client.pem", "key": "$dir/client.key" } } } }
JSON
    start_porthole run
    counts none porthole_target_tls_certificate_not_after_timestamp_seconds
    counts none porthole_tls_certificate_not_after_timestamp_seconds
    background tap "$porthole" tap --json "unix:$dir/admin.sock"
    # A tap has begun when it shows something.
    # shellcheck disable=SC2317 # it is called by eventually
    shows() {
        ask /tls --output /dev/null
        grep -q '"request":"/tls"' "$dir/tap.out"
    }
    eventually shows
    ask /plain
    counts "$(ends good)" porthole_target_tls_certificate_not_after_timestamp_seconds target=t "endpoint=https://127.0.0.1:$tls"
    counts "$(ends client)" porthole_tls_certificate_not_after_timestamp_seconds target=t "file=$dir/client.pem"
    scrape | promtool check metrics
    eventually grep -q '"/plain"' "$dir/access"
    jq -es 'all(.[]; if .request == "/tls" then .tls == "TLSv1.3" else has("tls") | not end)' "$dir/access"
    jq -es 'map(select(.request == "/tls")) | length > 0 and all(.[]; .tls == "TLSv1.3")' "$dir/tap.out"
}
