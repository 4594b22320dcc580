#!/usr/bin/env bash
# What a gateway keeps when its disk has a quota, with real processes: older versions go by themselves, what runs, what it would go
# back to and what somebody pinned stay, and a model that does not fit is refused with the figures while the old one answers.
#   run.sh   prints TAP
set -euo pipefail
cd "$(dirname "$0")/../../.."
root=$PWD
export SKERRY_BUILD=${SKERRY_BUILD:-$root/build/release}
export keep=--tap
# shellcheck source=scripts/demo/lib.sh
. scripts/demo/lib.sh
# shellcheck source=scripts/demo/setup.sh
. scripts/demo/setup.sh
# shellcheck source=tests/integration/models.sh
. tests/integration/models.sh

offer() { # VERSION: as soon as the rollout before it is over
  within 60 "a rollout of $1 starts" fleet rollout start "models/acme/big/$1" --slot default --json
}

holds() { # VERSION
  local hex
  hex=$(sha256sum "$work/model-$1/big.gguf" | cut -c1-64)
  [ -e "$work/a/state/blobs/sha256/${hex:0:2}/$hex" ]
}

take() { # VERSION COUNTER
  make_floats "$1" "$2" 4
  offer "$1"
  within 60 "a runs $1" runs a "$1"
}

step "older versions go by themselves"
# Room for three versions of 4 MiB; above it, down to two and a half.
add_gateway a '[storage]
high_water = "14MiB"
low_water = "10MiB"'
take 1.0.0 1
take 1.1.0 2
take 1.2.0 3
holds 1.0.0 || fail "three fit"
take 1.3.0 4
if holds 1.0.0; then
  fail "a fourth one takes the place of the first: $(gateway a registry gc --dry-run)"
fi
holds 1.2.0 || fail "what a rollback needs is there"
gateway a rollback default >/dev/null
within 30 "a goes back" runs a 1.2.0
note "older versions go by themselves" "1.0.0 made room for 1.3.0; the rollback to 1.2.0 found its bytes"

step "what somebody pinned stays"
gateway a model pin acme/big:1.3.0 --reason "the audit compares it" >/dev/null
want "$(gateway a registry gc --dry-run)" 'pinned: the audit compares it \(acme/big 1.3.0 f32\)' "the plan says so"
take 1.4.0 5
gateway a registry gc >/dev/null
holds 1.3.0 || fail "the pinned one is there"
gateway a model unpin acme/big:1.3.0 >/dev/null
gateway a registry gc >/dev/null
if holds 1.3.0; then
  fail "without a pin it goes: $(gateway a registry gc --dry-run)"
fi
note "a pin" "1.3.0 stayed beside 1.4.0 and 1.2.0, and went when it was unpinned"

step "a model that does not fit is refused, and the old one answers"
make_floats 2.0.0 7 16
offer 2.0.0
refused() {
  slot_is a default "['state']" REJECTED
}
within 60 "it is refused" refused
want "$(slot a default "['reason']")" 'more do not fit.*are needed here.*high water mark is 14680064 bytes' "the reason has the figures"
[ "$(slot a default "['active']['version']")" = 1.4.0 ] || fail "what ran before is active"
[ "$(gateway a run default --raw hello)" = hello ] || fail "and answers"
if holds 2.0.0; then
  fail "nothing of it is kept"
fi
note "it does not fit" "$(slot a default "['reason']" | grep -o '[0-9]* bytes more do not fit.*' | head -c 120)"

finish >/dev/null
echo "1..${#shown[@]}"
