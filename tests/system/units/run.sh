#!/usr/bin/env bash
# The units' hardening and the users that they, the sandbox and the configuration share.
set -uo pipefail
cd "$(dirname "$0")/../../.." || exit 1
# shellcheck source=tests/system/tap.sh
. tests/system/tap.sh

# systemd-analyze counts in tenths: 20 is an exposure of 2.0.
for unit in skerryd skerry-controller; do
  if command -v systemd-analyze >/dev/null 2>&1; then
    check "$unit.service is exposed by 2.0 at most" \
      systemd-analyze security --offline=true --threshold=20 --no-pager "$PWD/deploy/systemd/$unit.service"
  else
    skip "$unit.service is exposed by 2.0 at most" "systemd-analyze is not installed"
  fi
done

if command -v systemd-sysusers >/dev/null 2>&1; then
  root=$(mktemp -d)
  trap 'rm -rf "$root"' EXIT
  mkdir -p "$root/etc"
  check "sysusers.d makes the users" systemd-sysusers --root="$root" "$PWD/deploy/sysusers.d/skerry.conf"
  for user in skerry skerry-worker skerry-controller; do
    check "user $user exists" grep -q "^$user:" "$root/etc/passwd"
  done
  check "group skerry-admin exists" grep -q '^skerry-admin:' "$root/etc/group"
else
  skip "sysusers.d makes the users" "systemd-sysusers is not installed"
fi

check "workers run as the user that sysusers.d makes" grep -q '^worker_user = "skerry-worker"' deploy/config/skerryd.full.toml
check "admin.sock belongs to the group that sysusers.d makes" grep -q '^admin_group = "skerry-admin"' deploy/config/skerryd.full.toml
check "the unit's state directory is the configured one" \
  bash -c 'grep -q "^StateDirectory=skerry$" deploy/systemd/skerryd.service && grep -q "^state_dir = \"/var/lib/skerry\"" deploy/config/skerryd.full.toml'
check "the unit keeps the capabilities with which a worker changes its user" \
  grep -q '^CapabilityBoundingSet=CAP_SETUID CAP_SETGID$' deploy/systemd/skerryd.service
check "the unit delegates the controllers that workers' leaves need" grep -q '^Delegate=cpu memory pids$' deploy/systemd/skerryd.service
done_testing
