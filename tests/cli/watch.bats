#!/usr/bin/env bats
# The configuration is reloaded by itself when the files that it was read from hold something else.

load helper

# A configuration that answers with this text; its file goes to standard output.
answering() { # TEXT [TOP-MEMBERS]
    printf '{ %s "listeners": [ { "bind": "unix:%s", "routes": [ { "respond": { "status": 200, "body": "%s" } } ] } ] }' \
        "${2-}" "$sock" "$1"
}

answers() { # TEXT
    [ "$(ask /)" = "$1" ]
}

# Within a second, on a machine that has time: the sleep is what counts, not what the test itself takes.
live_soon() { # TEXT
    local i
    for i in {1..50}; do
        sleep 0.02
        ! answers "$1" || return 0
    done
    echo "not live: $1"
    cat "$dir/run.err"
    return 1
}

n_lines() { # TEXT
    grep -c -- "$1" "$dir/run.err" || true
}

start_watched() { # [TOP-MEMBERS]
    answering old "${1-}" >"$dir/porthole.json"
    start_porthole run
    answers old
}

# A volume of Kubernetes: a link to a directory, which is swapped.
swap() { # NUMBER TEXT
    mkdir "$dir/config/..$1"
    answering "$2" >"$dir/config/..$1/porthole.json"
    ln -s "..$1" "$dir/config/..data_tmp"
    mv -T "$dir/config/..data_tmp" "$dir/config/..data"
    [ "$1" -eq 0 ] || rm -r "$dir/config/..$(($1 - 1))"
}

start_mounted() {
    mkdir "$dir/config"
    swap 0 old
    ln -s ..data/porthole.json "$dir/config/porthole.json"
    ln -s config/porthole.json "$dir/porthole.json"
    start_porthole run
    answers old
}

@test "watch: a file that is renamed over its place, or written in place, is live within a second" {
    start_watched
    answering renamed >"$dir/new.json"
    mv "$dir/new.json" "$dir/porthole.json"
    live_soon renamed
    answering written >"$dir/porthole.json"
    live_soon written
    eventually eval '[ "$(n_lines reloaded)" -eq 2 ]'
}

@test "watch: a volume that is swapped is live within a second, each time" {
    start_mounted
    for i in 1 2 3; do
        swap "$i" "new-$i"
        live_soon "new-$i"
    done
    # The same again changes nothing.
    swap 4 new-3
    touch "$dir/config/porthole.json"
    sleep 0.5
    [ "$(n_lines reloaded)" -eq 3 ]
}

@test "watch: fifty swaps within a second settle on the last" {
    start_mounted
    local began took
    began=$(ms_now)
    /usr/bin/python3 - "$dir/config" <<'PY'
import os, shutil, sys, time

os.chdir(sys.argv[1])
text = open("porthole.json").read()
for i in range(1, 51):
    os.mkdir(f"..{i}")
    open(f"..{i}/porthole.json", "w").write(text.replace("old", f"new-{i}"))
    os.symlink(f"..{i}", "..data_tmp")
    os.rename("..data_tmp", "..data")
    shutil.rmtree(f"..{i - 1}")
    time.sleep(0.015)
PY
    took=$(($(ms_now) - began))
    live_soon new-50
    sleep 0.5
    answers new-50
    # Ten in a second, however long this machine needs for the swaps.
    [ "$(n_lines reloaded)" -le "$((3 + took / 100))" ]
}

@test "watch: half a file is neither served nor complained of" {
    start_watched
    answering new >"$dir/whole.json"
    exec 7>"$dir/porthole.json"
    head -c 40 "$dir/whole.json" >&7
    sleep 1
    answers old
    tail -c +41 "$dir/whole.json" >&7
    sleep 0.3
    exec 7>&-
    live_soon new
    lacks -q 'reload refused' "$dir/run.err"
    # Mended in a moment, unless the machine has made a long one of it.
    took_ms=$(/usr/bin/python3 - "$dir" <<'PY'
import sys
import time

text = open(f"{sys.argv[1]}/whole.json").read().replace("new", "newer")
begun = time.monotonic()
open(f"{sys.argv[1]}/porthole.json", "w").write(text[:40])
open(f"{sys.argv[1]}/porthole.json", "w").write(text)
print(int((time.monotonic() - begun) * 1000))
PY
    )
    live_soon newer
    [ "$took_ms" -ge 50 ] || lacks -q 'reload refused' "$dir/run.err"
}

@test "watch: a file that is wrong changes nothing, is told of once, and is mended without a word to anybody" {
    start_watched
    echo '{ "listeners": [ { "bind": "unix:relative" }, { "colour": 1 } ] }' >"$dir/porthole.json"
    eventually grep -q 'reload refused.*colour' "$dir/run.err"
    grep -q 'reload refused.*/listeners/0/bind' "$dir/run.err"
    answers old
    sleep 1
    [ "$(n_lines 'reload refused.*colour')" -eq 1 ]
    answering new >"$dir/porthole.json"
    live_soon new
    # Gone, and back.
    rm "$dir/porthole.json"
    eventually grep -q 'reload refused.*No such file' "$dir/run.err"
    answers new
    answering newer >"$dir/porthole.json"
    live_soon newer
}

@test "watch: a file that is wrong is told of once when SIGHUP asks for it, too" {
    start_watched
    kill -STOP "$pid" # so that it has both at once
    echo '{ "listeners": [ { "colour": 1 } ] }' >"$dir/porthole.json"
    kill -HUP "$pid"
    kill -CONT "$pid"
    eventually grep -q 'reload refused.*colour' "$dir/run.err"
    sleep 1
    [ "$(n_lines 'reload refused.*colour')" -eq 1 ]
    # The same of one that is right and cannot be had.
    kill -STOP "$pid"
    answering new '"workers": 7,' >"$dir/porthole.json"
    kill -HUP "$pid"
    kill -CONT "$pid"
    eventually grep -q 'reload refused.*workers' "$dir/run.err"
    sleep 1
    [ "$(n_lines 'reload refused.*workers')" -eq 1 ]
    # Who asks again is told again.
    kill -HUP "$pid"
    eventually eval '[ "$(n_lines "reload refused.*workers")" -eq 2 ]'
    answering new >"$dir/porthole.json"
    live_soon new
}

@test "watch: the files that answers hold are watched, too, and those that are still missing" {
    printf 'first' >"$dir/a"
    printf '{ "listeners": [ { "bind": "unix:%s", "routes": [ { "respond": { "status": 200, "file": "%s/a" } } ] } ] }' \
        "$sock" "$dir" >"$dir/porthole.json"
    start_porthole run
    answers first
    printf 'second' >"$dir/a"
    live_soon second
    sed 's|/a"|/b"|' "$dir/porthole.json" >"$dir/new.json"
    mv "$dir/new.json" "$dir/porthole.json"
    eventually grep -q "reload refused.*$dir/b" "$dir/run.err"
    answers second
    printf 'third' >"$dir/b"
    live_soon third
}

@test "watch: files in values and certificates cause no reload" {
    printf 'one' >"$dir/token"
    printf '{ "listeners": [ { "bind": "unix:%s", "routes": [ { "respond": { "status": 200 }, "response_headers": { "set": { "X-Token": "${file:%s/token}" } } } ] } ] }' \
        "$sock" "$dir" >"$dir/porthole.json"
    start_porthole run
    ask / -i | grep -q 'X-Token: one'
    printf 'two' >"$dir/token"
    sleep 1.3
    ask / -i | grep -q 'X-Token: two'
    lacks -q 'reload' "$dir/run.err"
}

@test "watch: false leaves it to SIGHUP, and can be changed by it" {
    start_watched '"watch": false,'
    local porthole_pid=$pid
    answering new >"$dir/porthole.json"
    sleep 1
    answers old
    kill -HUP "$porthole_pid"
    live_soon new
    answering newer >"$dir/porthole.json"
    live_soon newer
    answering last '"watch": false,' >"$dir/porthole.json"
    live_soon last
    answering never >"$dir/porthole.json"
    sleep 1
    answers last
}

@test "watch: what cannot change while it runs is refused by name, with both values" {
    start_watched
    answering new '"workers": 3, "sandbox": { "landlock": false },' >"$dir/porthole.json"
    eventually grep -q 'reload refused.*/workers.*it is 1, and would be 3' "$dir/run.err"
    grep -q 'reload refused.*/sandbox/landlock.*it is true, and would be false' "$dir/run.err"
    answers old
}

@test "watch: a rate goes on counting over reloads" {
    limited() { # BODY
        printf '{ "listeners": [ { "bind": "unix:%s", "routes": [ { "name": "x", "rate": { "requests": 2, "per": "1h" }, "respond": { "status": 200, "body": "%s" } } ] } ] }' "$sock" "$1"
    }
    limited old >"$dir/porthole.json"
    start_porthole run
    answers old
    limited new >"$dir/porthole.json"
    eventually grep -q reloaded "$dir/run.err"
    answers new
    [ "$(ask / -o /dev/null -w '%{http_code}')" = 429 ]
}

@test "watch: a limit of heads that is raised counts for new clients, and one that is lowered for all" {
    sized() { # HEADER BODY
        printf '{ "listeners": [ { "bind": "unix:%s", "limits": { "header": "%s" }, "routes": [ { "respond": { "status": 200, "body": "%s" } } ] } ] }' "$sock" "$1" "$2"
    }
    large=$(head -c 50000 /dev/zero | tr '\0' x)
    sized 1KiB old >"$dir/porthole.json"
    start_porthole run
    [ "$(ask / -o /dev/null -w '%{http_code}' -H "X: $large")" = 431 ]
    sized 64KiB new >"$dir/porthole.json"
    live_soon new
    [ "$(ask / -H "X: $large")" = new ]
    sized 1KiB newer >"$dir/porthole.json"
    live_soon newer
    [ "$(ask / -o /dev/null -w '%{http_code}' -H "X: $large")" = 431 ]
}
