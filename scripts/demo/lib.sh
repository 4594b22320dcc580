# shellcheck shell=bash disable=SC2154
# What the demo's steps share: a folder, daemons that end with the script, assertions, the closing table.

bin=$SKERRY_BUILD/bin
skerry=$bin/skerry
work=$(mktemp -d "${TMPDIR:-/tmp}/skerry-demo.XXXXXX")
started=$(date +%s)
declare -A pids=()
shown=()
current="starting"

finish() {
  trap - EXIT
  stop_all
  echo
  printf '%-34s %s\n' "SHOWN" "SEEN"
  printf '%s\n' "${shown[@]}"
  echo
  echo "demo: ${#shown[@]} steps shown in $(($(date +%s) - started)) s"
  clean
}

failed() {
  local code=$?
  trap - EXIT
  echo "demo: FAILED in '$current'" >&2
  if [ "$keep" = "--tap" ]; then
    echo "not ok $((${#shown[@]} + 1)) - $current"
  fi
  for log in "$work"/*.log; do
    [ -e "$log" ] || continue
    echo "--- ${log##*/}" >&2
    tail -n 12 "$log" >&2
  done
  stop_all
  keep=--keep
  clean
  exit "$((code == 0 ? 1 : code))"
}
trap failed EXIT
trap 'exit 130' INT TERM

clean() {
  if [ "$keep" = "--keep" ]; then
    echo "demo: kept $work"
  else
    rm -rf "$work"
  fi
}

stop_all() {
  local name
  for name in "${!pids[@]}"; do
    stop "$name" TERM || true
  done
}

step() {
  current=$1
  echo "==> $1"
}

# note WHAT SEEN: a line of the closing table.
note() {
  echo "    $2"
  shown+=("$(printf '%-34s %s' "$1" "$2")")
  if [ "$keep" = "--tap" ]; then
    echo "ok ${#shown[@]} - $1"
  fi
}

fail() {
  echo "    not so: $*" >&2
  exit 1
}

# want TEXT PATTERN WHY: PATTERN (extended regular expression) must occur in TEXT.
want() {
  grep -Eq -- "$2" <<<"$1" || fail "$3; got: ${1:0:600}"
}

# within SECONDS WHY COMMAND…: repeats until the command succeeds.
within() {
  local end=$(($(date +%s%N) / 1000000 + $1 * 1000)) why=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$(($(date +%s%N) / 1000000))" -lt "$end" ] || fail "$why (waited in vain for: $*)"
    sleep 0.1
  done
}

free_port() {
  python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

# start NAME PROGRAM ARGUMENT…: a daemon whose log is NAME.log.
start() {
  local name=$1
  shift
  "$@" >>"$work/$name.log" 2>&1 &
  pids[$name]=$!
}

# stop NAME SIGNAL: ends that process and waits for it.
stop() {
  local pid=${pids[$1]:-}
  [ -n "$pid" ] || return 0
  unset "pids[$1]"
  kill "-$2" "$pid" 2>/dev/null || return 0
  wait "$pid" 2>/dev/null || true
}

# json FILTER: reads JSON on standard input; FILTER is a Python expression over `d`.
json() {
  python3 -c 'import json, sys
d = json.load(sys.stdin)
v = eval(sys.argv[1])
print(v if isinstance(v, (str, int, float)) else json.dumps(v))' "$1"
}

fleet() {
  fleet_within 30 "$@"
}

# fleet_within SECONDS ARGUMENT…
fleet_within() {
  local limit=$1
  shift
  timeout "$limit" "$skerry" fleet --controller "127.0.0.1:$controller_port" --operator "$work/controller/operator" "$@"
}

# gateway NAME COMMAND…: `skerry` against that gateway.
gateway() {
  local name=$1
  shift
  SKERRY_API_SOCKET=$work/$name/api.sock SKERRY_ADMIN_SOCKET=$work/$name/admin.sock "$skerry" "$@"
}

# slot NAME SLOT FILTER: a value of one slot's status.
slot() {
  gateway "$1" slots --json | json "next(s for s in d['slots'] if s['slot'] == '$2')$3"
}

slot_is() {
  [ "$(slot "$1" "$2" "$3" 2>/dev/null)" = "$4" ]
}

sync_is() {
  [ "$(gateway "$1" status --json 2>/dev/null | json "d['sync']['state']")" = "$2" ]
}

# write_gateway NAME MEMORY EXTRA: the gateway's configuration.
write_gateway() {
  local name=$1 memory=$2 extra=${3:-}
  mkdir -p "$work/$name"
  cat >"$work/$name/skerryd.toml" <<TOML
state_dir = "$work/$name/state"
[device]
name = "$name"
[listen]
api_socket = "$work/$name/api.sock"
admin_socket = "$work/$name/admin.sock"
http_socket = "$work/$name/http.sock"
admin_group = ""
[memory]
budget = "$memory"
[runtime]
threads = 1
[policy]
file = "$work/$name/policy.json"
[audit]
checkpoint_interval = "1s"
[trust]
root_file = "$work/root.json"
[controller]
address = "127.0.0.1:$controller_port"
server_name = "localhost"
ca_file = "$work/controller/operator/ca.crt"
token_file = "$work/$name/token"
[activation]
disk_reserve = "16MiB"
probation_seconds = 2
probation_requests = 0
[telemetry]
interval = "1s"
[sync]
backoff_first = "200ms"
backoff_longest = "1s"
$extra
TOML
  cat >"$work/$name/policy.json" <<JSON
{"format": "skerry-policy/1", "version": 1,
 "roles": [
  {"name": "owner", "rules": [{"verbs": ["infer", "embed", "tokenize", "list", "load", "unload", "admin.*", "audit.*", "metrics.read"], "models": ["*"]}]},
  {"name": "triage-only", "rules": [{"verbs": ["infer", "list"], "models": ["acme/log-*"]}]}],
 "bindings": [
  {"name": "who-runs-the-demo", "role": "owner", "subjects": ["uid:$(id -u)"]},
  {"name": "triage-app", "role": "triage-only", "subjects": ["token:triage-app"]}]}
JSON
}
