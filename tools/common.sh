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

# progress LABEL LOG COMMAND...: runs the command with its output in LOG, a sign of life every few seconds, the log's end on failure.
progress() {
    local label=$1 log=$2 start=$SECONDS pid shown=0
    shift 2
    mkdir -p "$(dirname "$log")"
    printf '==> %s ' "$label"
    "$@" >"$log" 2>&1 &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        sleep 0.2
        if [ $((SECONDS - start)) -ge $((shown + 3)) ]; then
            shown=$((SECONDS - start))
            printf '.'
        fi
    done
    if wait "$pid"; then
        printf ' %d s\n' $((SECONDS - start))
    else
        printf ' failed\n' >&2
        tail -n 30 "$log" >&2
        fail "$label failed; the whole log is $log"
    fi
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
