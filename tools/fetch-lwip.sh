#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# fetch-lwip.sh LINK: unpacks lwIP's Debian source, once per version, and points LINK at it. The Makefile compiles what it needs of it.
. "$(dirname "$0")/common.sh"
[ $# = 1 ] || fail "usage: fetch-lwip.sh LINK"
tools=$(cd "$(dirname "$0")" && pwd)
link=$(realpath -sm "$1")
minimum=2.1.3

entry=$(cache_dir)/lwip-$(recipe_key "$(candidate_version liblwip-dev)" -- "$tools/fetch-lwip.sh")
lock_cache lwip
if [ ! -e "$entry/done" ]; then
    rm -rf "$entry"
    mkdir -p "$entry/unpacked"
    "$tools/fetch-source.sh" lwip "$minimum" "$entry/unpacked"
    mv "$entry/unpacked/src/src" "$entry/src"
    mv "$entry/unpacked/version" "$entry/version"
    rm -rf "$entry/unpacked"
    find "$entry" -type f -exec touch {} + # not older than what asks for them
    touch "$entry/done"
fi
link_result "$entry" "$link"
