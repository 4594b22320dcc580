#!/bin/bash
# Runs the commands of docs/hardware-keys.md against a simulated TPM (swtpm) and a software token (SoftHSM), then checks
# what they printed, what they must refuse, and that a device follows what those keys signed.
#
#   run.sh HARDWARE_KEYS.md BIN_DIR        exit 77: a simulator is not installed
set -euo pipefail
document=$(readlink -f "$1")
bin=$(readlink -f "$2")
for tool in swtpm softhsm2-util; do
  command -v "$tool" >/dev/null || {
    echo "skipped: $tool is not installed"
    exit 77
  }
done
work=$(mktemp -d)
pids=()
finish() {
  [ "${#pids[@]}" -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT
cd "$work"
export PATH="$bin:$PATH" SOFTHSM2_CONF=$work/softhsm.conf TSS2_LOG=all+NONE
mkdir tokens tpm
printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n' "$work/tokens" >softhsm.conf

# Two free ports beside each other: swtpm's client expects the control channel on the next one.
started=
for _ in $(seq 20); do
  port=$((20000 + RANDOM % 20000))
  swtpm socket --tpm2 --tpmstate "dir=$work/tpm" --server "type=tcp,port=$port,bindaddr=127.0.0.1" \
    --ctrl "type=tcp,port=$((port + 1)),bindaddr=127.0.0.1" --flags not-need-init,startup-clear \
    --daemon --pid "file=$work/swtpm.pid" 2>swtpm.log && started=1 && break
done
[ -n "$started" ] || {
  cat swtpm.log
  exit 1
}
pids+=("$(cat swtpm.pid)")
export TPM2OPENSSL_TCTI=swtpm:port=$port

# shellcheck disable=SC2016 # The backquotes are Markdown's.
sed -n '/^```sh$/,/^```$/{/^```/!p}' "$document" >commands.sh
bash -euxo pipefail commands.sh >commands.log 2>&1 || {
  tail -n 30 commands.log
  exit 1
}
expect() {
  grep -q -- "$1" "$2" || {
    echo "$2 does not say: $1"
    cat "$2"
    exit 1
  }
}
refused() { # WHAT COMMAND…
  local what=$1
  shift
  if "$@" >refused.log 2>&1; then
    echo "was not refused: $*"
    exit 1
  fi
  expect "$what" refused.log
  if grep -q 5678 refused.log; then
    echo "a PIN in: $(cat refused.log)"
    exit 1
  fi
}
expect 'BEGIN TSS2 PRIVATE KEY' ann.tss
expect 'pkcs11:.*token=ceremony.*object=bob' commands.log
module=$(dpkg -L softhsm2 libsofthsm2 2>/dev/null | grep -m1 'libsofthsm2\.so$')
token="pkcs11:token=ceremony;object=bob?module-path=$module"
printf '9999\n' >wrong.txt
chmod 600 wrong.txt
printf '5678\n' >loose.txt
chmod 644 loose.txt
refused 'already\|exists' skerry keys create "tpm:$work/ann.tss" --algorithm ecdsa-p256
refused 'has a key of this name' skerry keys create "$token&pin-source=$work/pin.txt" --algorithm ecdsa-p256
refused 'PIN' skerry keys export "$token&pin-source=$work/wrong.txt"
refused 'chmod 600' skerry keys export "$token&pin-source=$work/loose.txt"
refused 'must not hold the PIN' skerry keys export "$token&pin-value=5678"
refused 'no such key' skerry keys export "pkcs11:token=ceremony;object=eve?module-path=$module&pin-source=$work/pin.txt"
refused 'no such token' skerry keys export "pkcs11:token=other;object=bob?module-path=$module"
refused 'ecdsa-p256' skerry keys create "tpm:$work/other.tss" --algorithm ed25519
refused 'no key at this handle' skerry keys export tpm:0x81000009
TPM2OPENSSL_TCTI=swtpm:port=1 refused 'tpm2-openssl' skerry keys export "tpm:$work/ann.tss"
kill "${pids[0]}"
pids=()

# The device needs neither: the signatures are ordinary ones.
: >http.log
/usr/bin/python3 -u -m http.server --bind 127.0.0.1 --directory repo/metadata 0 >http.log 2>&1 &
pids+=($!)
port=
for _ in $(seq 100); do
  port=$(sed -n 's/.*port \([0-9]*\).*/\1/p' http.log)
  [ -n "$port" ] && break
  sleep 0.1
done
tuf-client --metadata-dir device init repo/metadata/1.root.json
tuf-client --metadata-dir device --metadata-url "http://127.0.0.1:$port/" refresh
cmp device/root.json repo/metadata/1.root.json
echo "the $(grep -c '^skerry' commands.sh) commands were run; a device follows what a TPM and a token signed"
