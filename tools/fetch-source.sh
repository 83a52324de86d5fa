#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# fetch-source.sh PACKAGE MINIMUM DIR: unpacks the newest Debian source of PACKAGE that the mirror really serves into DIR/src. apt's
# signed index vouches for every byte. The sources list and its state are private (under the cache); the system's are left alone.
. "$(dirname "$0")/common.sh"
[ $# = 3 ] || fail "usage: fetch-source.sh PACKAGE MINIMUM DIR"
tools=$(cd "$(dirname "$0")" && pwd)
package=$1 minimum=$2 dir=$3

private=$(cache_dir)/apt
logs=$(cache_dir)/logs
mkdir -p "$private/sources" "$private/state/lists/partial" "$private/cache/archives/partial"
/usr/bin/python3 "$tools/apt_sources.py" deb-src >"$private/sources/source.sources"

private_apt() {
    apt-get -q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$private/sources" \
        -o Dir::State="$private/state" -o Dir::State::status=/var/lib/dpkg/status -o Dir::Cache="$private/cache" \
        -o APT::Sandbox::User="$(id -un)" -o APT::Get::List-Cleanup=true "$@"
}

fetch() {
    rm -rf "$dir/download"
    mkdir -p "$dir/download"
    (cd "$dir/download" && private_apt source --download-only "$1")
}

progress "updating the private list of source packages" "$logs/source-lists.log" private_apt update

# The newest version may be listed and yet not be served; then the release's own is taken.
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
say "fetching the source of $package"
if ! fetch "$package" >"$logs/fetch-$package.log" 2>&1; then
    say "the newest version is listed but not served: trying $package/$codename"
    fetch "$package/$codename" >>"$logs/fetch-$package.log" 2>&1 || {
        tail -n 20 "$logs/fetch-$package.log" >&2
        fail "the source of $package cannot be fetched; check the network and the mirror under /etc/apt"
    }
fi

dsc=$(find "$dir/download" -name '*.dsc')
[ -n "$dsc" ] || fail "apt fetched no .dsc for $package"
version=$(awk '/^Version:/ { print $2; exit }' "$dsc")
dpkg --compare-versions "$version" ge "$minimum" ||
    fail "the mirror serves $package $version, but at least $minimum is needed; use a mirror that has it"
rm -rf "$dir/src"
dpkg-source --no-check --no-copy -x "$dsc" "$dir/src" >>"$logs/fetch-$package.log" 2>&1 || fail "unpacking $dsc failed; see $logs/fetch-$package.log"
printf '%s\n' "$version" >"$dir/version"
rm -rf "$dir/download"
say "$package $version"
