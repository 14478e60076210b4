#!/usr/bin/env bash
# Sealed files beside age (https://age-encryption.org) and rage on the same file: seconds of processor time and of the
# clock, the best of five. `tests/bench/age.sh target/release/sealbook [MIB]`; needs age, takes rage if it is there, and
# a folder in memory (TMPDIR) with room for three such files. Results: docs/benchmarks.md.
set -euo pipefail
sealbook=$(realpath "$1")
mib=${2:-1024}
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
umask 077
head -c $((mib << 20)) /dev/urandom > plain
head -c 32 /dev/urandom > dek
age-keygen -o identity 2> /dev/null
recipient=$(sed -n 's/^# public key: //p' identity)

# Says how long a command takes: its name, then the command. What it writes goes nowhere.
best() {
    local name=$1 round
    shift
    for round in 1 2 3 4 5; do
        { TIMEFORMAT='%U %S %R'; time "$@" > /dev/null 2> error; } 2>&1 || { cat error; exit 1; }
    done | awk -v name="$name" -v mib="$mib" '
        { cpu = $1 + $2; if (!n++ || cpu < least) least = cpu; if (n == 1 || $3 < clock) clock = $3 }
        END { printf "%-18s %6.2f s of processor time (%5.2f GB/s a core), %6.2f s of the clock\n", name, least, mib * 1048576 / 1e9 / least, clock }'
}

"$sealbook" seal plain --key dek --out sealed > /dev/null
age -r "$recipient" -o aged plain
best 'copy' cat plain
best 'sealbook seal' "$sealbook" seal plain --key dek --out -
best 'sealbook open' "$sealbook" open sealed --key dek --out -
best 'age encrypt' age -r "$recipient" plain
best 'age decrypt' age -d -i identity aged
if command -v rage > /dev/null; then
    best 'rage encrypt' rage -r "$recipient" plain
    best 'rage decrypt' rage -d -i identity aged
fi
