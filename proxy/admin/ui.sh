#!/bin/sh
# Prints a C file with the page for people: its parts in one document, and the policy that lets a browser run those parts
# and nothing else, by their hashes (CSP3 2.3.1).
# usage: proxy/admin/ui.sh DIRECTORY      where page.html, page.css and the scripts are
set -eu

cd "$1"
scripts='view.js status.js live.js'

hash_of() { # standard input, as it stands between the tags
    sha256sum | cut -c 1-64 | tr a-f A-F | basenc --base16 -d | base64
}

script() {
    echo
    # shellcheck disable=SC2086 # a list
    cat $scripts
}

style() {
    echo
    cat page.css
}

document() {
    while IFS= read -r line; do
        case $line in
        @style@) printf '<style>' && style && printf '</style>\n' ;;
        @script@) printf '<script>' && script && printf '</script>\n' ;;
        *) printf '%s\n' "$line" ;;
        esac
    done <page.html
}

echo '#include "proxy/admin/ui.h"'
echo
echo 'const unsigned char ui_document[] = {'
document | od -An -v -tx1 | sed 's/ \(..\)/0x\1,/g'
echo '};'
echo
echo 'const size_t ui_document_bytes = sizeof(ui_document);'
echo
echo 'const char ui_policy[] ='
printf '    "default-src '\''none'\''; script-src '\''sha256-%s'\''; "\n' "$(script | hash_of)"
printf '    "style-src '\''sha256-%s'\''; connect-src '\''self'\''; img-src data:; "\n' "$(style | hash_of)"
echo "    \"base-uri 'none'; form-action 'none'; frame-ancestors 'none'\";"
