# shellcheck shell=bash disable=SC2154
# Models without an engine and what gateways do with them; sourced after scripts/demo/lib.sh, and by who pushes after
# scripts/demo/setup.sh, by the stories of transfers and of local apps.

push() { # FOLDER: of a packed model, signed by both keys
  fleet push "$1" --sign --repo "$work/repo" --signing-key "$work/keys/targets-1.pem" \
    --signing-key "$work/keys/targets-2.pem" >/dev/null 2>&1
}

# push_big VERSION COUNTER VARIANT: packs and pushes $work/model-VERSION/big.gguf as acme/big, for the null engine.
push_big() {
  local folder=$work/model-$1
  cat >"$folder/model.toml" <<TOML
model = "acme/big"
version = "$1"
release_counter = $2
format = "gguf"
runtime = "null"
activation.probation = "1s"
[[variant]]
name = "$3"
file = "big.gguf"
ram = "64MiB"
TOML
  "$skerry" model pack "$folder" --out "$work/packed/$1" >/dev/null
  push "$work/packed/$1"
}

make_floats() { # VERSION COUNTER MEBIBYTES: acme/big with float weights
  mkdir -p "$work/model-$1"
  python3 tests/integration/sources/make_gguf.py "$work/model-$1/big.gguf" "$3" "$2"
  push_big "$1" "$2" f32
}

runs() { # GATEWAY VERSION
  slot_is "$1" default "['active']['version']" "$2"
}

# connect NAME: a gateway whose configuration is there, enrolled and connected; also one that was stopped.
connect() {
  [ -e "$work/$1/token" ] || [ -e "$work/$1/state/identity.json" ] || fleet token --note "$1" --out "$work/$1/token" 2>/dev/null
  start "$1" "$bin/skerryd" --config "$work/$1/skerryd.toml"
  within 30 "$1 connects" sync_is "$1" connected
}

# add_gateway NAME EXTRA: with EXTRA in its configuration, enrolled and connected; also one that was stopped.
add_gateway() {
  write_gateway "$1" 1GiB "$2"
  sed -i 's/^\[runtime\]/[runtime]\nsandbox = "best_effort"\nworker_user = ""/' "$work/$1/skerryd.toml"
  connect "$1"
}

# no_plaintext GATEWAY FILE WHEN: no 48 bytes of FILE's middle or end are in any file of the gateway's state folder.
no_plaintext() {
  python3 - "$2" "$work/$1/state" <<'PYTHON' || fail "the model's bytes are on the disk $3"
import pathlib, sys

data = pathlib.Path(sys.argv[1]).read_bytes()
markers = [data[at : at + 48] for at in (4096, len(data) // 2, len(data) - 48)]
for path in pathlib.Path(sys.argv[2]).rglob("*"):
    if path.is_file():
        content = path.read_bytes()
        if any(marker in content for marker in markers):
            sys.exit(f"{path} holds plain bytes")
PYTHON
}
