#!/usr/bin/env bash
# Installs what is missing to build, test and show Skerry. Idempotent, non-interactive, quick when nothing is missing.
# Works as root or with sudo; fails with one clear line.
set -euo pipefail
cd "$(dirname "$0")/.."

die() {
  echo "setup: $1" >&2
  exit 1
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null 2>&1; then
    sudo -n "$@" 2>/dev/null || { [ -t 0 ] && sudo "$@"; }
  else
    return 127
  fi
}

apt_log=$(mktemp)
trap 'rm -f "$apt_log"' EXIT

apt_install() {
  command -v apt-get >/dev/null 2>&1 || die "this is not a Debian system; install by hand: $*"
  echo "setup: installing $# packages: $*"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update >"$apt_log" 2>&1 ||
    die "apt-get update failed (needs root or sudo, and a Debian mirror): $(tail -n1 "$apt_log")"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "$@" >"$apt_log" 2>&1 ||
    die "could not install $*: $(grep -m1 '^E:' "$apt_log" || tail -n1 "$apt_log")"
}

# Debian packages: one query tells all that are not installed.
mapfile -t wanted < <(grep -Ev '^[[:space:]]*(#|$)' deploy/packages.txt)
declare -A have=()
while read -r name status; do
  if [ "$status" = "installed" ]; then
    have[$name]=1
  fi
done < <(dpkg-query -W -f='${Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null || true)
missing=()
for package in "${wanted[@]}"; do
  if [ -z "${have[$package]:-}" ]; then
    missing+=("$package")
  fi
done

# Node: the machine's own where it is new enough.
node_major=$(node --version 2>/dev/null | sed -n 's/^v\([0-9]*\).*/\1/p' || true)
if [ "${node_major:-0}" -lt 18 ] || ! command -v npm >/dev/null 2>&1; then
  missing+=(nodejs npm)
fi
if [ "${#missing[@]}" -gt 0 ]; then
  apt_install "${missing[@]}"
fi

deploy/engines/fetch.sh >"$apt_log" || exit 1

# The npm clients that the system tests drive; checked against the lock file, no install script runs.
clients=tests/system/clients
stamp=build/clients/stamp
want=$(sha256sum "$clients/package-lock.json" | cut -c1-64)
if [ "$(cat "$stamp" 2>/dev/null || true)" != "$want" ]; then
  mkdir -p build/clients
  cp "$clients/package.json" "$clients/package-lock.json" "$clients/.npmrc" build/clients/
  (cd build/clients && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) >"$apt_log" 2>&1 ||
    die "npm could not fetch the test clients: $(grep -m1 -i error "$apt_log" || tail -n1 "$apt_log")"
  echo "$want" >"$stamp"
fi
if [ "${#missing[@]}" -gt 0 ]; then
  echo "setup: done"
else
  echo "setup: nothing missing"
fi
