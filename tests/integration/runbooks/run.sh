#!/usr/bin/env bash
# Runs the commands of docs/runbooks/*.md, as written, against a real controller and real gateways, and checks after each
# page that the fleet is whole again.
#
#   run.sh DOCS_FOLDER BIN_DIR
set -euo pipefail
docs=$(readlink -f "$1")
SKERRY_BUILD=$(readlink -f "$2/..")
export SKERRY_BUILD
cd "$(dirname "$0")/../../.."
export keep=--quiet
# shellcheck source=scripts/demo/lib.sh
. scripts/demo/lib.sh

controller_port=$(free_port)
export CONTROLLER_CONFIG=$work/etc/skerry-controller.toml CONTROLLER_STATE=$work/controller BACKUPS=$work/backup
export REPO=$work/office/repo KEYS=$work/vault SKERRY_FLEET_CONFIG=$work/etc/fleet.toml
mkdir -p "$work/etc" "$work/shim" "$KEYS"
cat >"$CONTROLLER_CONFIG" <<TOML
[state]
directory = "$CONTROLLER_STATE"
[server]
listen = "127.0.0.1:$controller_port"
names = ["localhost", "127.0.0.1"]
TOML
cat >"$SKERRY_FLEET_CONFIG" <<TOML
controller = "127.0.0.1:$controller_port"
cert = "$CONTROLLER_STATE/operator/operator.crt"
key = "$CONTROLLER_STATE/operator/operator.key"
ca = "$CONTROLLER_STATE/operator/ca.crt"
TOML

# The service manager's part: start returns when the service is ready, stop when it has ended.
cat >"$work/shim/systemctl" <<SH
#!/usr/bin/env bash
set -eu
pid=$work/\$2.pid
case "\$1 \$2" in
  "start skerry-controller")
    "$bin/skerry-controller" --config "$CONTROLLER_CONFIG" >>"$work/controller.log" 2>&1 &
    echo \$! >"\$pid"
    for _ in \$(seq 200); do
      "$skerry" fleet info >/dev/null 2>&1 && exit 0
      sleep 0.1
    done
    exit 1 ;;
  "stop skerry-controller")
    [ -e "\$pid" ] || exit 0
    kill "\$(cat "\$pid")" 2>/dev/null || true
    while kill -0 "\$(cat "\$pid")" 2>/dev/null; do sleep 0.05; done
    rm -f "\$pid" ;;
  *) exit 2 ;;
esac
SH
chmod +x "$work/shim/systemctl"
export PATH=$work/shim:$bin:$PATH
end_controller() {
  systemctl stop skerry-controller
}
trap 'end_controller; failed' EXIT

# page NAME: its commands in one shell, that stops at the first failure.
page() {
  step "docs/runbooks/$1.md"
  # shellcheck disable=SC2016 # The backquotes are Markdown's.
  sed -n '/^```sh$/,/^```$/{/^```/!p}' "$docs/$1.md" >"$work/$1.sh"
  (cd "$work" && bash -eux "$work/$1.sh") >"$work/$1.log" 2>&1 || fail "a command of $1.md"
  commands=$((commands + $(grep -Ec '^(skerry|systemctl)' "$work/$1.sh")))
}
commands=0
device_id() {
  json "d['device_id']" <"$work/$1/state/identity.json"
}
connected() {
  within 60 "$1 is connected" sync_is "$1" connected
}
run_gateway() {
  start "$1" "$bin/skerryd" --config "$work/$1/skerryd.toml"
}
enrol() {
  write_gateway "$1" 64MiB 'renewal_spread = "500ms"'
  skerry fleet token --note "$1" --out "$work/$1/token" 2>/dev/null
  run_gateway "$1"
  connected "$1"
}

step "a fleet"
systemctl start skerry-controller
for name in ann bob eve; do
  skerry keys create "$KEYS/$name.pem" >/dev/null
  skerry keys export "$KEYS/$name.pem" >"$KEYS/$name.pub.pem"
done
skerry fleet info --online-key-out "$KEYS/online.json" 2>/dev/null
roles=()
for role in root targets; do
  for name in ann bob eve; do
    roles+=("--$role-key" "$KEYS/$name.pub.pem")
  done
done
skerry repo init "$REPO" "${roles[@]}" --online-key "$KEYS/online.json" >/dev/null
skerry repo sign "$REPO" --key "$KEYS/ann.pem" --key "$KEYS/bob.pem" >/dev/null
skerry fleet publish "$REPO" >/dev/null
skerry repo root "$REPO" --out "$work/root.json" 2>/dev/null
enrol hall
enrol roof

page restore-from-backup
want "$(cat "$work/restore-from-backup.log")" 'intact: [0-9]+ files' "the backup was checked"
want "$(cat "$work/restore-from-backup.log")" 'restored: [0-9]+ files' "the restore was tried"
# What happens after the backup is lost with the machine.
enrol late
note "backup" "taken from the running controller, every digest compared"

systemctl stop skerry-controller
rm -rf "$CONTROLLER_STATE"
page controller-loss
connected hall
connected roof
within 20 "the one enrolled later is told so" sync_is late refused
want "$(gateway late status --json)" 'not enrolled' "it says why"
stop late TERM
rm "$work/late/state/identity.json"
cp "$BACKUPS/token" "$work/late/token"
run_gateway late
connected late
want "$(skerry fleet devices)" 'hall' "the inventory is back"
if skerry fleet devices | grep -q fork; then
  fail "a restored controller suspects nobody"
fi
note "controller lost" "restored; both gateways back, the later one enrolled again"

before=$(skerry fleet info --json | json "d['image_root_version']")
page key-loss
connected hall
connected roof
after=$(skerry fleet info --json | json "d['image_root_version']")
[ "$after" -eq $((before + 2)) ] || fail "two roots were published; $before, then $after"
want "$(skerry fleet ca show)" '1 +distrusted' "the stolen authority counts for nothing"
note "keys lost" "an offline key, the online key, the server's key, the authority's"

page ca-rotation
connected hall
connected roof
want "$(skerry fleet ca show)" '3 +issuing' "the third authority issues"
note "authority rotated" "gateways followed"

# An old image of the roof's disk is put back.
stop roof TERM
cp -a "$work/roof/state" "$work/roof.image"
run_gateway roof
connected roof
# Its new nonce is confirmed a moment after the hello.
sleep 1
stop roof TERM
rm -rf "$work/roof/state"
cp -a "$work/roof.image" "$work/roof/state"
run_gateway roof
DEVICE=$(device_id roof)
export DEVICE
is_flagged() {
  skerry fleet devices "$DEVICE" | grep -q fork
}
within 30 "the old image is noticed" is_flagged
pid=${pids[roof]}
page device-restore
within 60 "the gateway has ended" eval '! kill -0 '"$pid"' 2>/dev/null'
unset "pids[roof]"
[ ! -e "$work/roof/state/keys" ] || fail "its keys are deleted"
is_over() {
  [ "$(skerry fleet devices --json "$DEVICE" | json "d['devices'][0]['standing']")" = decommissioned ]
}
within 10 "the record says so" is_over
connected hall
note "gateway restored, copied, sold" "noticed, reinstated, revoked, decommissioned"

end_controller
trap failed EXIT
finish
echo "runbooks: $commands commands of $(find "$docs" -name '*.md' | wc -l) pages were run"
