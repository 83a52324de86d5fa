# SPDX-License-Identifier: Apache-2.0
# What the build scripts share: messages, progress, the cache, root rights. Sourced, not run.

set -eu -o pipefail

say() {
    printf '==> %s\n' "$*"
}

fail() {
    printf 'shoji: %s\n' "$*" >&2
    exit 1
}

# The folder for what takes long to make. `make clean` leaves it.
cache_dir() {
    printf '%s\n' "${SHOJI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/shoji}"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "this step needs root: install sudo, or run the same command as root"
    fi
}

# progress LABEL LOG COMMAND...: runs the command with its output in LOG, a sign of life every few seconds (a line of its own where no
# terminal is watching), the log's end on failure.
progress() {
    local label=$1 log=$2 start=$SECONDS pid next=3 every=3
    shift 2
    mkdir -p "$(dirname "$log")"
    if [ -t 1 ]; then
        printf '==> %s ' "$label"
    else
        say "$label"
        next=15 every=15
    fi
    "$@" >"$log" 2>&1 &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        sleep 0.2
        [ $((SECONDS - start)) -ge "$next" ] || continue
        next=$((SECONDS - start + every))
        if [ -t 1 ]; then
            printf '.'
        else
            say "$label: $((SECONDS - start)) s so far"
        fi
    done
    if wait "$pid"; then
        if [ -t 1 ]; then
            printf ' %d s\n' $((SECONDS - start))
        else
            say "$label: done in $((SECONDS - start)) s"
        fi
    else
        printf '\n' >&2
        tail -n 30 "$log" >&2
        fail "$label failed; the whole log is $log"
    fi
}

# Only one process makes an entry of this kind at a time; the script's end lets go.
lock_cache() {
    mkdir -p "$(cache_dir)"
    exec 9>"$(cache_dir)/$1.lock"
    flock 9
}

# recipe_key WORD... -- FILE...: a short hash of the words and the files' contents, the name of a cache entry.
recipe_key() {
    local words=()
    while [ "$1" != -- ]; do
        words+=("$1")
        shift
    done
    shift
    { printf '%s\n' "${words[@]}"; cat "$@"; } | sha256sum | cut -c1-16
}

# The version that apt would install (or has installed) of a binary package: moves when the distribution's does.
candidate_version() {
    LC_ALL=C apt-cache policy "$1" | awk '$1 == "Candidate:" { print $2 }'
}

compiler_version() {
    "${CC:-gcc}" --version | head -n 1
}

# link_result TARGET NAME: build/deps/NAME points at a cache entry.
link_result() {
    mkdir -p "$(dirname "$2")"
    ln -sfn "$1" "$2"
}
