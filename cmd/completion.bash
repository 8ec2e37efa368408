# bash completion for porthole. A test holds it to `porthole --help` and `porthole VERB --help`.

_porthole() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} words

    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        words='run check probe status tap policy suggest demo version --help --version'
    else
        case $previous in
        -c | --config | --body | --har)
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            return
            ;;
        --path | --wait | --timeout | --watch | --explain | --listener | --uid | --gid | --header | --route | --status | --min-duration | --peer | --method | --path-prefix | --bodies | --count)
            return
            ;;
        esac
        case ${COMP_WORDS[1]} in
        run) words='-c --config --takeover --help' ;;
        check) words='-c --config --print --strict --live --memory --explain --listener --uid --gid --header --body --help' ;;
        probe) words='--path --wait --timeout -v --verbose --help' ;;
        status) words='--json --watch --help' ;;
        tap) words='--listener --route --status --min-duration --peer --method --path-prefix --json --har --bodies --no-redact --count --help' ;;
        policy) words="--about --help $("${COMP_WORDS[0]}" policy 2>/dev/null | cut -d ' ' -f 1)" ;;
        suggest) words='--listener --help' ;;
        demo) words='--once --help' ;;
        version) words='--licenses --help' ;;
        *) return ;;
        esac
        # The path of a socket: readline splits words at a colon, so it is a word of its own.
        if [[ ${COMP_WORDS[1]} = @(probe|status|tap) ]] && [ "${current#-}" = "$current" ]; then
            [ "$current" = : ] && current=
            if [ "$previous" = : ] || [ "${COMP_WORDS[COMP_CWORD]}" = : ]; then
                mapfile -t COMPREPLY < <(compgen -f -- "$current")
                return
            fi
            words+=' unix: tcp: http:// https://'
        fi
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -o default -F _porthole porthole
