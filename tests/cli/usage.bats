# What the command line says when it is used wrongly, and that help, manual page and completion tell the same.

load helper

verbs() {
    "$porthole" --help | sed -n '/^verbs:/,/^$/s/^  \([a-z]*\) .*/\1/p'
}

# The options of a verb as its --help lists them: "--name" and "-x", one a line.
options() { # VERB
    "$porthole" "$1" --help | sed -n '/^options:/,$p' | grep -oE '^  (-[a-z], )?--[a-z-]+' | grep -oE -- '--?[a-z-]+'
}

refused() { # TEXT ARGUMENT...
    local text=$1
    shift
    run "$porthole" "$@"
    echo "porthole $*: $status: $output"
    [ "$status" -eq 2 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == *"$text"* ]]
    [[ $output == *"--help)" ]]
    [ -z "$("$porthole" "$@" 2>/dev/null)" ]
}

@test "usage: a wrong verb is one line with a hint and status 2" {
    refused 'a verb is missing'
    refused "did you mean 'check'?" chekc
    refused "did you mean 'run'?" rn
    refused "did you mean '--version'?" --verison
    refused "unknown verb 'frobnicate' (see" frobnicate
    refused "unknown verb '' (see" ''
    refused 'unknown verb' "$(head -c 300 /dev/zero | tr '\0' v)"
}

@test "usage: a wrong option is one line with a hint and status 2" {
    refused "did you mean '--wait'?" probe --wiat 3s unix:/x
    refused "did you mean '--timeout'?" probe --timout=3s unix:/x
    refused "did you mean '--takeover'?" run --take-over
    refused "unknown option '--print'" version --print
    refused "unknown option '-x'" check -x
    refused '--wait needs an argument' probe unix:/x --wait
    refused '-c needs an argument' check -c
    refused '--print takes no argument' check --print=yes
}

@test "usage: missing and superfluous arguments are refused" {
    refused 'an argument is missing' probe
    refused "'b' is one argument too many" probe unix:/a b
    refused "'x' is one argument too many" version x
    refused "'x' is one argument too many" demo x
    refused "'x' is one argument too many" policy docker-read x
    refused "did you mean 'docker-read'?" policy docker-red
    refused 'an argument is missing' policy --about
    refused "'x' is one argument too many" check -c f x
    refused "'x' is one argument too many" run -c f x
}

@test "usage: help is on standard output for every verb, status 0" {
    [ "$(verbs | wc -l)" -ge 5 ]
    for verb in $(verbs); do
        run "$porthole" "$verb" --help
        [ "$status" -eq 0 ]
        [[ ${lines[0]} == "usage: porthole $verb"* ]]
        [ "$output" = "$("$porthole" "$verb" -h 2>/dev/null)" ]
        # a word after -- is no option, but may be a file that is not there
        run "$porthole" "$verb" -- --help
        [ "$status" -eq 2 ] || [[ $status -eq 78 && $output == *'--help: cannot open'* ]]
    done
}

@test "usage: the synopsis of each verb names its options and no others" {
    for verb in $(verbs); do
        usage=$("$porthole" "$verb" --help | head -n 1)
        for option in $(grep -oE -- '(^|[^-a-z])--?[a-z-]+' <<<"$usage" | grep -oE -- '--?[a-z-]+'); do
            options "$verb" | grep -qx -- "$option" || { echo "$verb: $option is no option"; false; }
        done
        # every option is there, by its letter or by its name
        "$porthole" "$verb" --help | sed -n '/^options:/,$p' | grep -E '^  -' | grep -v -- --help >"$dir/lines" || true
        while read -r line; do
            letter=$(grep -oE '^-[a-z]\b' <<<"$line" || true)
            name=$(grep -oE -- '--[a-z-]+' <<<"$line" | head -n 1)
            [[ $usage == *"${letter:-$name}"* || $usage == *"$name"* ]] || { echo "$verb: no $name in: $usage"; false; }
        done <"$dir/lines"
    done
}

@test "usage: the manual page has every verb and option with the sentence of --help, and no others" {
    page=$(sed 's/\\-/-/g; s/\\f[RIB]//g' "$BATS_TEST_DIRNAME/../../cmd/porthole.1")
    for verb in $(verbs); do
        summary=$("$porthole" --help | sed -n "s/^  $verb  *//p")
        section=$(sed -n "/^\.SS $verb\$/,/^\.S[SH] /p" <<<"$page")
        grep -qxF -- "$summary" <<<"$section" || { echo "$verb: not its summary: $section"; false; }
        "$porthole" "$verb" --help | sed -n '/^options:/,$p' | grep -E '^  -' | grep -v -- --help >"$dir/lines" || true
        while read -r line; do
            name=$(grep -oE -- '--[a-z-]+' <<<"$line" | head -n 1)
            sentence=$(sed -E 's/^(-[a-z], )?--[a-z-]+( [A-Z]+)? +//' <<<"$line")
            grep -A 1 -E -- "^\.BR?.* $name|^\.B $name" <<<"$section" | grep -qxF -- "$sentence" ||
                { echo "$verb $name: not '$sentence'"; false; }
        done <"$dir/lines"
        for name in $(grep -E '^\.BR? ' <<<"$section" | grep -oE -- '--[a-z-]+'); do
            options "$verb" | grep -qx -- "$name" || { echo "$verb has no $name"; false; }
        done
    done
    [ "$(grep -c '^\.SS ' <<<"$page")" -eq "$(verbs | wc -l)" ]
}

@test "usage: the manual page is formatted without a warning" {
    command -v man >/dev/null || skip 'no man'
    run env LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$BATS_TEST_DIRNAME/../../cmd/porthole.1"
    [ "$status" -eq 0 ]
    [[ $output != *': warning'* ]]
}

complete_words() { # WORD...: prints what bash would offer for the last one
    local COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    _porthole
    printf '%s\n' "${COMPREPLY[@]}"
}

@test "usage: the completion offers every verb and option of --help, and no others" {
    # shellcheck source=/dev/null
    source "$BATS_TEST_DIRNAME/../../cmd/completion.bash"
    [ "$(complete_words porthole '' | grep -v '^-' | sort)" = "$(verbs | sort)" ]
    [ "$(complete_words porthole pr)" = probe ]
    for verb in $(verbs); do
        offered=$(complete_words porthole "$verb" - | sort)
        expected=$(options "$verb" | grep -vx -- -h | sort)
        [ "$offered" = "$expected" ] || { echo "$verb: $offered, not $expected"; false; }
    done
    touch "$dir/some.json"
    [ "$(complete_words porthole check -c "$dir/so")" = "$dir/some.json" ]
    [ "$(complete_words porthole probe unix : "$dir/so")" = "$dir/some.json" ]
    [ -z "$(complete_words porthole probe --wait '')" ]
}

@test "usage: version names porthole and the libraries in use" {
    run "$porthole" version
    [ "$status" -eq 0 ]
    [ "${#lines[@]}" -eq 5 ]
    [[ ${lines[0]} =~ ^porthole\ [0-9]+\.[0-9]+\.[0-9]+ ]]
    [[ ${lines[1]} =~ ^libmicrohttpd\ [0-9]+\.[0-9]+\.[0-9]+ ]]
    [[ ${lines[2]} =~ ^libcurl\ [0-9]+\.[0-9]+\.[0-9]+\ \(.*\)$ ]]
    [[ ${lines[3]} =~ ^jansson\ [0-9]+\.[0-9]+ ]]
    [[ ${lines[4]} =~ ^pcre2\ [0-9]+\.[0-9]+ ]]
    [ "$("$porthole" --version)" = "${lines[0]}" ]
}

@test "usage: policy lists the examples, prints each as it is, and says what it does not protect from" {
    cd "$BATS_TEST_DIRNAME/../../config/examples"
    [ "$("$porthole" policy | cut -d ' ' -f 1 | sort)" = "$(ls -- *.json | sed 's/\.json$//' | grep -vx all-keys | sort)" ]
    for name in $("$porthole" policy | cut -d ' ' -f 1); do
        "$porthole" policy "$name" 2>"$dir/about" | cmp - "$name.json"
        [ "$(wc -l <"$dir/about")" -eq 2 ]
        grep -q '^it does not protect from: .' "$dir/about"
        "$porthole" policy --about "$name" | cmp - "$dir/about"
    done
    # shellcheck source=/dev/null
    source "$BATS_TEST_DIRNAME/../../cmd/completion.bash"
    [ "$(complete_words "$porthole" policy docker-rea)" = docker-read ]
}

# Whether a library is a file of its own that is loaded with the program.
is_loaded() { # LIBRARY
    readelf -d "$porthole" | grep -q "(NEEDED).*\[$1\.so"
}

@test "usage: the licences are porthole's own and those of the libraries inside" {
    "$porthole" version --licenses >"$dir/licenses"
    head -n 1 "$dir/licenses" | grep -qE '^porthole [0-9]+\.[0-9]+\.[0-9]+'
    grep -qF 'END OF TERMS AND CONDITIONS' "$dir/licenses"
    n_inside=0
    while read -r library text; do
        inside=1
        ! is_loaded "$library" || inside=0
        n=$(grep -cE "^=+ .*, linked into this program: (.* )?$library\.a" "$dir/licenses" || true)
        echo "$library: $n headings"
        [ "$n" -eq "$inside" ]
        [ "$inside" -eq 0 ] || grep -qF "$text" "$dir/licenses"
        n_inside=$((n_inside + inside))
    done <<END
libmicrohttpd GNU LESSER GENERAL PUBLIC LICENSE
libcurl COPYRIGHT AND PERMISSION NOTICE
libjansson Petri Lehtinen
libpcre2-8 Philip Hazel
END
    # libcurl has OpenSSL with it, wherever it is.
    lacks -q ' libcurl\.a' "$dir/licenses" || grep -qE '^=+ .* linked into this program: libcrypto\.a libssl\.a' "$dir/licenses"
    # Whoever receives the program may have the library's source, and link it anew with another.
    [ "$n_inside" -eq 0 ] || grep -qE '^Source: .*[0-9]' "$dir/licenses"
    is_loaded libmicrohttpd || grep -qF 'linked anew' "$dir/licenses"
}

@test "usage: licences that cannot be written are a failure" {
    [ -w /dev/full ] || skip 'no /dev/full'
    status=0
    "$porthole" version --licenses >/dev/full 2>"$dir/err" || status=$?
    [ "$status" -eq 1 ]
    [ "$(grep -c 'No space left' "$dir/err")" -eq 1 ]
}

@test "usage: help that cannot be written is a failure" {
    [ -w /dev/full ] || skip 'no /dev/full'
    status=0
    "$porthole" --help >/dev/full 2>"$dir/err" || status=$?
    [ "$status" -eq 1 ]
    grep -q 'No space left' "$dir/err"
}
