#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# make_headers.sh DIR: LUKS2 headers made by stock cryptsetup, for the unit tests. Each NAME.luks has NAME.key beside it, the volume key as
# cryptsetup tells it. Slot N opens with "passphrase N". Key derivation is as cheap as cryptsetup allows.
set -euo pipefail
[ $# = 1 ] || { echo "usage: make_headers.sh DIR" >&2; exit 2; }
mkdir -p "$1"
cd "$1"
rm -f ./*.luks ./*.key

pbkdf2=(--pbkdf pbkdf2 --pbkdf-force-iterations 1000)
argon2i=(--pbkdf argon2i --pbkdf-memory 64 --pbkdf-parallel 1 --pbkdf-force-iterations 4)
argon2id=(--pbkdf argon2id --pbkdf-memory 256 --pbkdf-parallel 4 --pbkdf-force-iterations 5)
small=(--luks2-metadata-size 16k --luks2-keyslots-size 2m)
size=4M # of the whole device; the data begins after the header

# cryptsetup warns of small areas and little memory; that is wanted here, and shown only when it fails.
cryptsetup() {
    command cryptsetup "$@" >errors.log 2>&1 || { cat errors.log >&2; return 1; }
}

passphrase() { # NUMBER: its file, without a newline at the end
    printf 'passphrase %s' "$1" >"slot$1.pass"
    echo "slot$1.pass"
}

format() { # NAME OPTION...
    local name=$1
    shift
    truncate -s "$size" "$name.luks"
    cryptsetup luksFormat --batch-mode --type luks2 --cipher aes-xts-plain64 --key-slot 0 --key-file "$(passphrase 0)" \
        "${small[@]}" "$@" "$name.luks"
}

add() { # NAME SLOT OPTION...
    local name=$1 slot=$2
    shift 2
    cryptsetup luksAddKey --batch-mode --key-file slot0.pass --key-slot "$slot" "$@" "$name.luks" "$(passphrase "$slot")"
}

finish() { # NAME: its volume key
    cryptsetup luksDump --batch-mode --dump-volume-key --volume-key-file "$1.key" --key-file slot0.pass "$1.luks"
}

format pbkdf2-sha256 --key-size 512 --hash sha256 --sector-size 512 "${pbkdf2[@]}"
format pbkdf2-sha1 --key-size 512 --hash sha1 --sector-size 512 "${pbkdf2[@]}"
format pbkdf2-sha512 --key-size 512 --hash sha512 --sector-size 4096 "${pbkdf2[@]}"
format argon2i --key-size 512 --sector-size 512 "${argon2i[@]}"
format argon2id --key-size 512 --sector-size 4096 "${argon2id[@]}"
format aes128 --key-size 256 --sector-size 512 "${pbkdf2[@]}"

# Several slots of several kinds; one is gone again, one is preferred, one must not be tried.
format several --key-size 512 --sector-size 512 "${argon2id[@]}"
add several 1 "${pbkdf2[@]}"
add several 2 "${argon2i[@]}"
add several 3 --hash sha512 "${pbkdf2[@]}"
add several 5 "${pbkdf2[@]}"
add several 7 "${pbkdf2[@]}"
cryptsetup luksKillSlot --batch-mode --key-file slot0.pass several.luks 3
cryptsetup config --key-slot 5 --priority prefer several.luks
cryptsetup config --key-slot 7 --priority ignore several.luks

# A larger metadata area: the second copy stands elsewhere.
small=(--luks2-metadata-size 128k --luks2-keyslots-size 1m)
format wide --key-size 512 --sector-size 512 "${pbkdf2[@]}"

# cryptsetup's own layout: nothing asked for.
small=()
size=17M
format plain --key-size 512 "${pbkdf2[@]}"

# cryptsetup's own cost: 1 GiB, or half of the memory that there is.
format costly --key-size 512 --pbkdf argon2id --pbkdf-memory 1048576 --pbkdf-parallel 4 --pbkdf-force-iterations 4
for name in costly pbkdf2-sha256 pbkdf2-sha1 pbkdf2-sha512 argon2i argon2id aes128 several wide plain; do
    finish "$name"
done

# A volume key whose halves are equal: cryptsetup makes the slot, Shoji refuses the key.
size=20M
head -c 32 /dev/urandom >half
cat half half >halves.key
format halves --key-size 512 --volume-key-file halves.key "${pbkdf2[@]}"

# Shoji's own form: a detached header for a partition encrypted in place, data from offset 0.
truncate -s 2M data.img
cryptsetup reencrypt --encrypt --type luks2 --header detached.luks --cipher aes-xts-plain64 --key-size 512 --sector-size 512 \
    --luks2-metadata-size 16k --luks2-keyslots-size 1m "${pbkdf2[@]}" --force-offline-reencrypt --batch-mode --key-file slot0.pass data.img
finish detached
rm -f data.img

# LUKS1, to be refused by name.
truncate -s 4M old.luks
cryptsetup luksFormat --batch-mode --type luks1 --key-file slot0.pass --pbkdf-force-iterations 1000 old.luks
