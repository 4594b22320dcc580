# shellcheck shell=bash disable=SC2034,SC2154
# A controller and one enrolled gateway, "one", whose default slot runs a model that repeats what it is told, $echo_step_ms milliseconds
# per token, $gateway_extra in its configuration; sourced after scripts/demo/lib.sh by the stories of local apps.

# shellcheck source=scripts/demo/setup.sh
. scripts/demo/setup.sh
# shellcheck source=tests/integration/models.sh
. tests/integration/models.sh
step "a gateway with a model that repeats"
mkdir -p "$work/echo"
cp tests/fuzz/gguf/corpus/llama "$work/echo/weights.gguf"
cat >"$work/echo/model.toml" <<TOML
model = "acme/echo"
version = "1.0.0"
release_counter = 1
description = "echo"
format = "gguf"
runtime = "null"
[[variant]]
name = "raw"
file = "weights.gguf"
TOML
"$skerry" model pack "$work/echo" --out "$work/packed" >/dev/null
python3 - "$work/packed/manifest.json" "$echo_step_ms" <<'PYTHON'
import json, sys
manifest = json.load(open(sys.argv[1]))
manifest.setdefault("annotations", {})["skerry.option.step_ms"] = sys.argv[2]
json.dump(manifest, open(sys.argv[1], "w"), sort_keys=True, separators=(",", ":"))
PYTHON
push "$work/packed" || fail "the model is pushed"
write_gateway one 1GiB "${gateway_extra:-}"
connect one
fleet_within 60 rollout start models/acme/echo/1.0.0 --slot default --canary 1 --watch
