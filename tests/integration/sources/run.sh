#!/usr/bin/env bash
# Several sources at once, with real processes: a controller, two gateways that serve their site, nginx over TLS, a
# folder; a third gateway gets models from all of them, is killed in between, meets wrong bytes, keeps a byte budget, and
# heals a rotten blob while the old model answers.
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

device_of() {
  gateway "$1" status --json | json "d['sync']['device_id']"
}

start_rollout() {
  fleet rollout start "$@" --json >/dev/null 2>&1
}

# offer VERSION GATEWAY…: a rollout to these gateways alone, as soon as the one before has ended.
offer() {
  local version=$1 names=()
  shift
  for name in "$@"; do
    names+=(--device "$(device_of "$name")")
  done
  within 30 "a rollout of $version starts" start_rollout "models/acme/big/$version" --slot default "${names[@]}"
}

blob_of() { # GATEWAY VERSION: the file of its weights
  local hex
  hex=$(sha256sum "$work/model-$2/big.gguf" | cut -c1-64)
  echo "$work/$1/state/blobs/sha256/${hex:0:2}/$hex"
}

metric() { # GATEWAY NAME: a whole number
  curl -s --unix-socket "$work/$1/http.sock" http://localhost/metrics | awk -v name="$2" '$1 == name {printf "%d", $2}'
}

fetched_line() { # GATEWAY: its last slot.fetched
  grep 'event=slot.fetched' "$work/$1.log" | tail -n1
}

step "two gateways hold a model and serve their site"
port_a=$(free_port)
port_b=$(free_port)
make_floats 1.0.0 1 24
add_gateway a "[peer]
listen = \"127.0.0.1:$port_a\""
add_gateway b "[peer]
listen = \"127.0.0.1:$port_b\""
offer 1.0.0 a b
within 60 "a runs 1.0.0" runs a 1.0.0
within 60 "b runs 1.0.0" runs b 1.0.0
note "two gateways hold 1.0.0" "$(fetched_line a | grep -o 'sources=.*')"

step "nginx serves the same blobs over TLS"
mkdir -p "$work/www"
cp -r "$work/a/state/blobs/sha256" "$work/www/"
chmod -R a+rX "$work/www"
nginx_port=$(free_port)
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=localhost" \
  -addext "subjectAltName=DNS:localhost" -keyout "$work/nginx.key" -out "$work/nginx.crt" 2>/dev/null
cat >"$work/nginx.conf" <<NGINX
daemon off; master_process off; pid $work/nginx.pid; error_log $work/nginx-error.log;
events { worker_connections 64; }
http {
  access_log $work/nginx-access.log;
  client_body_temp_path $work; proxy_temp_path $work; fastcgi_temp_path $work; uwsgi_temp_path $work; scgi_temp_path $work;
  server {
    listen 127.0.0.1:$nginx_port ssl;
    ssl_certificate $work/nginx.crt; ssl_certificate_key $work/nginx.key;
    root $work/www;
    if (\$http_authorization != "Bearer let-me-in") { return 401; }
  }
}
NGINX
start nginx nginx -c "$work/nginx.conf" -e stderr
echo "Bearer let-me-in" >"$work/authorization"
within 10 "nginx answers" curl -s --cacert "$work/nginx.crt" "https://localhost:$nginx_port/"
url() { # [EXTRA]
  printf '[[sources.url]]\nurl = "https://localhost:%s"\nca_file = "%s"\n%s\n' "$nginx_port" "$work/nginx.crt" "$1"
}
note "nginx serves over TLS" "port $nginx_port, with a bearer token"

step "a third gateway gets a model from all of them at once"
add_gateway c "[sources]
prefer_site = false
$(url "authorization_file = \"$work/authorization\"")
[peer]
gateways = [\"127.0.0.1:$port_a\", \"127.0.0.1:$port_b\"]"
offer 1.0.0 c
within 60 "c runs 1.0.0" runs c 1.0.0
line=$(fetched_line c)
for source in "peer 127.0.0.1:$port_a" "peer 127.0.0.1:$port_b" "https://localhost:$nginx_port" controller; do
  want "$line" "$source [0-9]+" "$source gave its part"
done
[ "$(metric a skerry_peer_served_bytes_total)" -gt 1048576 ] || fail "a counts what it served"
note "all sources at once" "$(grep -o 'sources="[^"]*"' <<<"$line")"

step "a gateway without the token, and with another CA, is refused by nginx; the others serve"
add_gateway d "[sources]
prefer_site = false
$(url "")
[peer]
gateways = [\"127.0.0.1:$port_a\"]"
offer 1.0.0 d
within 60 "d runs 1.0.0" runs d 1.0.0
want "$(grep 'event=registry.source' "$work/d.log")" "localhost:$nginx_port.*401" "the refusal is named"
if grep -q "https://localhost:$nginx_port [0-9]" <<<"$(fetched_line d)"; then
  fail "nginx gave nothing without the token"
fi
note "a refused source is named" "$(grep -o 'the server answered 401' "$work/d.log" | head -n1)"

step "the site comes first, the link stays unused"
stop d TERM
rm -rf "$work/d/state/blobs" "$work/d/state/registry.db"*
add_gateway d "[sources]
$(url "")
[peer]
gateways = [\"127.0.0.1:$port_a\", \"127.0.0.1:$port_b\"]"
within 60 "d runs 1.0.0 again" runs d 1.0.0
link=$(fetched_line d | grep -o 'link_bytes=[0-9]*' | cut -d= -f2)
[ "$link" -lt 65536 ] || fail "nothing large came over the link; $link bytes did"
note "the site comes first" "$link bytes over the link for 24 MiB"

step "a stranger may not ask a gateway"
code=$(curl -s -o /dev/null -w '%{http_code}' -k "https://127.0.0.1:$port_a/sha256/00/00" || true)
[ "$code" = 000 ] || fail "without a certificate nothing is answered; got $code"
note "peers ask with a certificate" "curl without one: no answer"

step "wrong bytes at one source"
make_floats 1.1.0 2 24
offer 1.1.0 a b
within 60 "a runs 1.1.0" runs a 1.1.0
within 60 "b runs 1.1.0" runs b 1.1.0
# b's disk goes wrong: every chunk of the new weights has a flipped byte.
weights=$(blob_of b 1.1.0)
chmod u+w "$weights"
python3 - "$weights" <<'PY'
import sys
with open(sys.argv[1], "r+b") as blob:
    blob.seek(0, 2)
    for at in range(4096, blob.tell(), 1 << 20):
        blob.seek(at)
        byte = blob.read(1)[0]
        blob.seek(at)
        blob.write(bytes([byte ^ 1]))
PY
offer 1.1.0 c
within 60 "c runs 1.1.0" runs c 1.1.0
want "$(grep 'event=registry.source_demoted' "$work/c.log")" "peer 127.0.0.1:$port_b" "the wrong source is demoted and named"
if grep -q "peer 127.0.0.1:$port_b [0-9]" <<<"$(fetched_line c)"; then
  fail "nothing of b counts"
fi
note "wrong bytes cost their chunks" "$(grep -o 'source="peer[^"]*"' <<<"$(grep source_demoted "$work/c.log")" | head -n1) demoted"

step "killed in the middle, another source afterwards"
make_floats 1.2.0 3 24
offer 1.2.0 a
within 60 "a runs 1.2.0" runs a 1.2.0
stop c TERM
add_gateway c "max_bytes_per_second = \"4MiB\""
offer 1.2.0 c
middle() {
  local done_bytes
  done_bytes=$(slot c default "['fetched_bytes']")
  [ "$done_bytes" -gt 4194304 ] && [ "$done_bytes" -lt 20000000 ]
}
within 30 "the fetch is in its middle" middle
stop c KILL
add_gateway c "[peer]
gateways = [\"127.0.0.1:$port_a\"]"
within 60 "c runs 1.2.0" runs c 1.2.0
reused=$(fetched_line c | grep -o 'reused_bytes=[0-9]*' | cut -d= -f2)
[ "$reused" -ge 4194304 ] || fail "what the controller had sent is kept; reused $reused"
want "$(fetched_line c)" "peer 127.0.0.1:$port_a [0-9]+" "the peer brought the rest"
note "killed, then from a peer" "$reused bytes kept from the controller, the rest from a peer"

step "a byte budget holds, survives a restart, and does not count the site"
make_floats 1.3.0 4 24
# What it got from the controller before counts for today.
before=$(metric c skerry_link_day_bytes)
budget=$((before + 8388608))
stop c TERM
add_gateway c "[link]
daily = $budget"
offer 1.3.0 c
held() {
  [ "$(metric c skerry_link_held_back)" = 1 ]
}
within 60 "the budget is used" held
day=$(metric c skerry_link_day_bytes)
want "$(gateway c status)" "daily budget of $budget bytes is used" "status says why nothing comes"
if [ "$day" -lt "$budget" ] || [ "$day" -gt $((budget + 5000000)) ]; then
  fail "little more than the budget was spent; $day"
fi
stop c KILL
add_gateway c "[link]
daily = $budget"
held || fail "the budget is used after a kill -9 too"
stop c TERM
offer 1.3.0 a
within 60 "a runs 1.3.0" runs a 1.3.0
add_gateway c "[link]
daily = $budget
[peer]
gateways = [\"127.0.0.1:$port_a\"]"
within 60 "c runs 1.3.0, from its peer" runs c 1.3.0
note "a byte budget" "$((day - before)) bytes over the link with 8388608 left, kept over kill -9; the rest from a peer"

step "a flipped byte on disk is found, quarantined and healed while the model answers"
weights=$(blob_of c 1.3.0)
gateway c run default --raw "hello" >"$work/before"
chmod u+w "$weights"
printf '\377' | dd of="$weights" bs=1 seek=5000000 conv=notrunc 2>/dev/null
chmod 0440 "$weights"
(for _ in $(seq 20); do gateway c run default --raw "hello" || echo "refused"; done) >"$work/during" 2>&1 &
asking=$!
scrub=$(gateway c registry scrub --json)
wait "$asking"
[ "$(json 'len(d["findings"])' <<<"$scrub")" -ge 1 ] || fail "the scrub finds it; got $scrub"
[ "$(json 'all(f["healed"] for f in d["findings"])' <<<"$scrub")" = True ] || fail "it is healed; got $scrub"
[ "$(sort -u "$work/during")" = "$(sort -u "$work/before")" ] || fail "it answered all the while; got $(sort "$work/during" | uniq -c)"
cmp "$weights" "$work/model-1.3.0/big.gguf" || fail "the healed file is right"
[ -e "$work/c/state/quarantine/$(basename "$weights")" ] || fail "the rotten file is in quarantine"
note "rot is healed" "$(json 'd["findings"][0]["detail"]' <<<"$scrub"), 20 answers meanwhile"

trap - EXIT
stop_all
clean
echo "1..${#shown[@]}"
