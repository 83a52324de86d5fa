#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# build-module.sh SOURCE.c TARGET.ko: builds a Linux module of one file for exactly the kernel of the Debian root (build/deps/root). That kernel's headers come
# from the sources that the root was made from; they are unpacked in the cache, not installed.
. "$(dirname "$0")/common.sh"
[ $# = 2 ] || fail "usage: build-module.sh SOURCE.c TARGET.ko"
tools=$(cd "$(dirname "$0")" && pwd)
root=$tools/../build/deps/root
[ -e "$root/done" ] || fail "the Debian root is missing: run \`make disk\`"
kernel=$(cat "$root/kernel")
series=$(printf '%s' "$kernel" | cut -d. -f1,2)   # 6.1.0-18-amd64: 6.1
common=${kernel%-amd64}-common
key=$(recipe_key "$kernel" -- "$tools/build-module.sh" "$root/debian.sources")
entry=$(cache_dir)/headers-$key

# A list and a state of its own: the system's may be older than the root.
private_apt() {
    local private=$entry/apt
    mkdir -p "$private/sources" "$private/state/lists/partial" "$private/cache/archives/partial"
    cp "$root/debian.sources" "$private/sources/debian.sources"
    apt-get -q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$private/sources" \
        -o Dir::State="$private/state" -o Dir::State::status=/var/lib/dpkg/status -o Dir::Cache="$private/cache" \
        -o APT::Sandbox::User="$(id -un)" "$@"
}

# The packages hold absolute paths to where they would be installed: they are turned to the cache.
fetch_headers() {
    local package
    rm -rf "$entry"
    mkdir -p "$entry/download"
    private_apt update
    (cd "$entry/download" && private_apt download "linux-headers-$kernel" "linux-headers-$common" "linux-kbuild-$series")
    for package in "$entry"/download/*.deb; do
        dpkg-deb -x "$package" "$entry"
    done
    printf 'include %s\n' "$entry/usr/src/linux-headers-$common/Makefile" >"$entry/usr/src/linux-headers-$kernel/Makefile"
    rm -rf "$entry/download" "$entry/apt"
    touch "$entry/done"
}

source=$(realpath "$1") target=$(realpath -m "$2")
name=$(basename "$source" .c)
[ -e "$entry/done" ] || progress "fetching the headers of Linux $kernel" "$(cache_dir)/logs/headers.log" fetch_headers
mkdir -p "$target.d"
cp "$source" "$target.d/$name.c"
printf 'obj-m := %s.o\nccflags-y := -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers -Wno-type-limits\n' "$name" >"$target.d/Kbuild"
make -s -C "$entry/usr/src/linux-headers-$kernel" M="$target.d" CC="${CC:-gcc}" modules >"$target.d/log" 2>&1 || {
    cat "$target.d/log" >&2
    fail "$name.c does not build as a module for Linux $kernel"
}
cp "$target.d/$name.ko" "$target"
