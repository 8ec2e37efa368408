#!/bin/sh
# Prints the files as C strings, policy_text_NAME each, for policy.c.
# usage: cmd/policies.sh FILE...
set -eu

for file; do
    name=${file##*/}
    printf 'extern const char policy_text_%s[];\nconst char policy_text_%s[] =\n' \
        "$(echo "${name%.json}" | tr - _)" "$(echo "${name%.json}" | tr - _)"
    sed 's/[\\"?]/\\&/g; s/.*/    "&\\n"/' "$file"
    echo '    "";'
done
