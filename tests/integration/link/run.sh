#!/usr/bin/env bash
# What a link that costs may be used for, with real processes: quiet hours hold a model back and let it come afterwards, a link
# that becomes metered has a budget of its own and heals nothing, and all of it is told to people and to metrics.
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

metric() { # NAME: a whole number
  curl -s --unix-socket "$work/a/http.sock" http://localhost/metrics | awk -v name="$1" '$1 == name {printf "%d", $2}'
}

held() {
  [ "$(metric skerry_link_held_back)" = 1 ]
}

configure() { # EXTRA: the gateway with another configuration
  stop a TERM
  add_gateway a "$1"
}

hour() { # OFFSET: HH:MM in UTC
  date -u -d "$1" +%H:%M
}

staged() { # bytes of weights that are verified and wait for the rest
  find "$work/a/state/staging" -name '*.part' -size +0 | wc -l
}

step "quiet hours"
make_floats 1.0.0 1 8
add_gateway a "[link]
quiet_hours = [\"$(hour '-1 hour')-$(hour '+2 hours')\"]"
offer 1.0.0
within 30 "the link is held back" held
want "$(gateway a status)" "the link is quiet until $(hour '+2 hours') UTC" "status says until when"
sleep 2
[ "$(metric skerry_link_day_bytes)" -lt 1048576 ] || fail "no blob comes; $(metric skerry_link_day_bytes) bytes did"
[ "$(slot a default "['state']")" = FETCHING ] || fail "the slot waits; it is $(slot a default "['state']")"
configure "[link]
quiet_hours = [\"$(hour '+2 hours')-$(hour '+3 hours')\"]"
within 60 "afterwards it comes" runs a 1.0.0
note "quiet hours" "nothing came, the slot waited and says until when; afterwards 1.0.0"

step "a link that becomes metered"
make_floats 1.1.0 2 8
budget=$(($(metric skerry_link_day_bytes) + 3145728))
touch "$work/metered"
metered="[link]
metered_file = \"$work/metered\"
metered_daily = $budget"
configure "$metered"
want "$(gateway a status)" 'metered' "status says so"
offer 1.1.0
within 60 "its budget is used" held
day=$(metric skerry_link_day_bytes)
if [ "$day" -lt "$budget" ] || [ "$day" -gt $((budget + 5000000)) ]; then
  fail "little more than the budget was spent; $day of $budget"
fi
want "$(gateway a status)" "daily budget of $budget bytes is used" "status says why nothing comes"
[ "$(staged)" -ge 1 ] || fail "what came is kept"
note "a metered link" "3145728 bytes were left, $((day - budget)) more came, what came is kept"

step "the wire is back"
rm "$work/metered"
configure "$metered"
within 60 "the rest comes" runs a 1.1.0
[ "$(metric skerry_link_held_back)" = 0 ] || fail "nothing is held back"
reused=$(grep 'event=slot.fetched' "$work/a.log" | tail -n1 | grep -o 'reused_bytes=[0-9]*' | cut -d= -f2)
[ "$reused" -ge 1048576 ] || fail "what came over the metered link is not fetched again; reused $reused"
note "unmetered again" "$reused bytes of before were used"

step "nothing is healed over a metered link"
hex=$(sha256sum "$work/model-1.1.0/big.gguf" | cut -c1-64)
blob=$work/a/state/blobs/sha256/${hex:0:2}/$hex
chmod u+w "$blob"
printf '\377' | dd of="$blob" bs=1 seek=5000000 conv=notrunc 2>/dev/null
chmod 0440 "$blob"
touch "$work/metered"
if gateway a registry scrub --json >"$work/scrub"; then
  fail "the scrub tells of what it did not heal; got $(cat "$work/scrub")"
fi
[ "$(json 'any(f.get("healed") for f in d["findings"])' <"$work/scrub")" = False ] || fail "it heals nothing; got $(cat "$work/scrub")"
[ ! -e "$blob" ] || fail "the rotten file is out of the way"
rm "$work/metered"
configure "$metered"
within 60 "with the wire it is fetched again" cmp "$blob" "$work/model-1.1.0/big.gguf"
[ "$(gateway a run default --raw hello)" = hello ] || fail "it answers"
note "no healing over a metered link" "$(json 'd["findings"][0]["detail"]' <"$work/scrub"); healed by wire"

finish >/dev/null
echo "1..${#shown[@]}"
