# shellcheck shell=bash disable=SC2154
# A second gateway that runs the vibration model as a fleet signs it (by a bundle), and one window of each class to ask for.

signed_model() {
  mkdir -p "$work/vibration"
  cp "$root"/examples/models/vibration/{vibration-f32.onnx,golden.json} "$work/vibration/"
  cat >"$work/vibration/model.toml" <<TOML
model = "acme/vibration"
version = "1.0.0"
release_counter = 1
format = "onnx"
runtime = "onnx"
prefer = ["f32"]
[files]
golden = "golden.json"
[activation]
probation = "1s"
golden_min_pass = 1.0
[[variant]]
name = "f32"
file = "vibration-f32.onnx"
TOML
  "$skerry" model pack "$work/vibration" --out "$work/packed" >/dev/null
  "$skerry" keys create "$work/keys/fleet.pem" >/dev/null
  local repository kind key=$work/keys/fleet.pem
  for repository in image offline; do
    kind=()
    [ "$repository" = image ] || kind=(--offline)
    "$skerry" repo init "$work/$repository" "${kind[@]}" --root-key "$key" --targets-key "$key" --online-key "$key" >/dev/null
  done
  "$skerry" repo add "$work/image" "$work/packed/manifest.json" >/dev/null
  for repository in image offline; do
    "$skerry" repo sign "$work/$repository" --key "$key" >/dev/null
    "$skerry" repo publish "$work/$repository" --online-key "$key" >/dev/null
    "$skerry" repo root "$work/$repository" --out "$work/$repository-root.json" >/dev/null 2>&1
  done
  "$skerry" bundle create "$work/stick" --image "$work/image" --offline "$work/offline" --id lab.1 --device 'two' \
    --model vibration="$work/packed" --signing-key "$key" --online-key "$key" >/dev/null 2>&1 || fail "the bundle is made"
}

signed_gateway() {
  mkdir -p "$work/two"
  cat >"$work/two/skerryd.toml" <<TOML
state_dir = "$work/two/state"
[device]
name = "two"
[listen]
api_socket = "$work/two/api.sock"
admin_socket = "$work/two/admin.sock"
http_socket = "$work/two/http.sock"
admin_group = ""
[trust]
root_file = "$work/image-root.json"
offline_root_file = "$work/offline-root.json"
[runtime]
threads = 1
[activation]
disk_reserve = "16MiB"
TOML
  start two "$bin/skerryd" --config "$work/two/skerryd.toml"
  within 20 "the second gateway answers" gateway two status
  gateway two bundle import "$work/stick" >/dev/null || fail "the signed model is activated"
}

# answer_of GATEWAY MODEL WINDOW: the model's numbers.
answer_of() {
  gateway "$1" infer "$2" --input "window=$3" --json | json 'd["outputs"][0]["data"]'
}

# One window per class: NAME.json beside NAME.class, the number of the class.
mkdir -p "$work/windows"
python3 - "$root/examples/models/vibration/golden.json" "$work/windows" <<'PY'
import json
import pathlib
import sys

golden = json.load(open(sys.argv[1], encoding="utf-8"))
for number, name in enumerate(golden["classes"]):
    case = next(case for case in golden["cases"] if case["expect"] == name)
    window = {"shape": golden["shape"], "datatype": "FP32", "data": [value * golden["scale"] for value in case["values"]]}
    folder = pathlib.Path(sys.argv[2])
    (folder / f"{name}.json").write_text(json.dumps(window), encoding="utf-8")
    (folder / f"{name}.class").write_text(str(number), encoding="utf-8")
PY
signed_model
signed_gateway
