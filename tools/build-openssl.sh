#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# build-openssl.sh LINK: builds libcrypto.a and its headers freestanding from Debian's source, once per recipe, and points LINK at it.
. "$(dirname "$0")/common.sh"
[ $# = 1 ] || fail "usage: build-openssl.sh LINK"
tools=$(cd "$(dirname "$0")" && pwd)
link=$(realpath -sm "$1")
minimum=3.0.17
jobs=${SHOJI_JOBS:-$(nproc)}

key=$(recipe_key "$(candidate_version libssl3)" "$(compiler_version)" -- \
    "$tools/build-openssl.sh" "$tools/openssl-target.conf" "$tools/openssl-options")
entry=$(cache_dir)/openssl-$key
logs=$(cache_dir)/logs

lock_cache openssl
if [ ! -e "$entry/done" ]; then
    rm -rf "$entry"
    mkdir -p "$entry"
    "$tools/fetch-source.sh" openssl "$minimum" "$entry"
    cp "$tools/openssl-target.conf" "$entry/src/Configurations/99-shoji.conf"
    cd "$entry/src"
    # shellcheck disable=SC2046 # the options are words
    progress "configuring OpenSSL" "$logs/openssl-configure.log" perl Configure shoji-x86_64 $(cat "$tools/openssl-options")
    progress "building OpenSSL (about 70 CPU seconds)" "$logs/openssl-build.log" \
        sh -c "make -j$jobs build_generated && make -j$jobs libcrypto.a"
    cp libcrypto.a "$entry/"
    cp -r include "$entry/include"
    cd "$entry"
    rm -rf "$entry/src"
    touch "$entry/done"
fi
link_result "$entry" "$link"
