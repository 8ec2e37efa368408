#!/bin/bash
# Prints porthole's licence, and that of each library of which the linker takes an archive: then the library's code is in
# the program. Shared libraries stay outside and have their licences with them.
# usage: cmd/licenses.sh LINKER-ARGUMENT...        (from the top of the tree; reads $CC and $VERSION)
#
# A library's licence is the file "copyright" of the Debian package that the archive belongs to, or the one beside the
# directory of the archive, where docker/build-library.sh keeps it and a library of one's own may have it. Without one
# there is no program: it could not be passed on.
set -euo pipefail

die() { echo "licenses: $*" >&2; exit 1; }

# What the linker takes for -lNAME or -l:FILE; nothing when it finds neither.
find_library() { # ARGUMENT DIRECTORY...
    local names=("lib${1#-l}.so" "lib${1#-l}.a") place file
    [[ $1 != -l:* ]] || names=("${1#-l:}")
    for place in "${@:2}"; do
        for file in "${names[@]}"; do
            [ ! -e "$place/$file" ] || { realpath -- "$place/$file"; return; }
        done
    done
    for file in "${names[@]}"; do
        place=$("${CC:-gcc}" -print-file-name="$file")
        [[ $place != /* ]] || { realpath -- "$place"; return; }
    done
}

# Every archive among the linker's arguments, once.
archives() { # LINKER-ARGUMENT...
    local argument places=()
    for argument; do
        case $argument in
        -L?*) places+=("${argument#-L}") ;;
        -l?*) find_library "$argument" ${places[@]+"${places[@]}"} ;;
        *.a) realpath -- "$argument" ;;
        esac
    done | grep '\.a$' | LC_ALL=C sort -u
}

# "FILE WHAT" for an archive: its licence, and the name and version of the library, or of Debian's source package with
# the word "Debian" behind.
licence_of() { # ARCHIVE
    local prefix=${1%/*/*} package name
    name=${1##*/} name=${name%.a}
    if [ -e "$prefix/copyright" ]; then
        # docker/build-library.sh names the directory NAME-VERSION-RECIPE.
        if [[ -e $prefix/done && ${prefix##*/} =~ ^($name|${name#lib})-(.+)-[0-9a-f]{12}$ ]]; then
            echo "$prefix/copyright ${BASH_REMATCH[1]} ${BASH_REMATCH[2]} Debian"
        else
            echo "$prefix/copyright $name $(pkg-config --modversion "$prefix/lib/pkgconfig/$name.pc" 2>/dev/null || true)"
        fi
    elif package=$(dpkg -S "$1" 2>/dev/null) && package=${package%%: *} && [ -e "/usr/share/doc/${package%%:*}/copyright" ]; then
        # shellcheck disable=SC2016 # dpkg's own $
        echo "/usr/share/doc/${package%%:*}/copyright" \
            "$(dpkg-query --show --showformat='${source:Package} ${source:Version}' "$package") Debian"
    else
        die "$1 would be linked in, and its licence is not here: please copy the library's COPYING to $prefix/copyright"
    fi
}

print_licence() { # "FILE NAME VERSION [Debian]" ARCHIVES
    local file name version debian common
    read -r file name version debian <<<"$1"
    printf '\n==== %s, linked into this program: %s\n\n' "$name${version:+ $version}" "$2"
    [ -z "$debian" ] || printf "Source: Debian's source package %s %s.\n" "$name" "$version"
    if grep -qE 'LGPL|LESSER GENERAL' "$file"; then
        echo "The program can be linked anew with another version of it: by make, in porthole's source."
    fi
    echo
    cat "$file"
    # Debian's file names this licence and leaves it to every machine to have it.
    if ! grep -q 'GNU LESSER GENERAL PUBLIC LICENSE' "$file"; then
        sed -nE 's|.*(/usr/share/common-licenses/LGPL-[0-9.]*[0-9]).*|\1|p' "$file" | sort -u | while read -r common; do
            printf '\n'
            cat "$common"
        done
    fi
}

print_all() { # LINKER-ARGUMENT...
    local archive licence order=()
    local -A inside=()
    printf 'porthole %s\n\n' "$VERSION"
    cat LICENSE
    while read -r archive; do
        licence=$(licence_of "$archive")
        [ -n "${inside[$licence]-}" ] || order+=("$licence")
        inside[$licence]+=" ${archive##*/}"
    done < <(archives "$@")
    for licence in ${order[@]+"${order[@]}"}; do
        print_licence "$licence" "${inside[$licence]# }"
    done
}

print_all "$@" | tr -d '\f\r'
