# shellcheck shell=bash disable=SC2154
# Signed is not good: a version with wrong answers and one that kills its worker do not survive on a gateway.

# refused_by_device TARGET PATTERN: the rollout halts, both gateways keep 1.1.0 and answer.
refused_by_device() {
  if fleet_within 60 rollout start "$1" --slot default --canary 1 --watch >"$work/out" 2>&1; then
    fail "$1 must not reach the fleet"
  fi
  want "$(cat "$work/out")" 'HALTED' "the rollout of $1 halts"
  want "$(cat "$work/out")" "$2" "the device says why it refused $1"
  for name in large small; do
    [ "$(slot "$name" default "['active']['version']")" = 1.1.0 ] || fail "$name still runs 1.1.0"
    answer=$(gateway "$name" run default --raw --temperature 0 "$line")
    [ "$answer" = "$expected" ] || fail "$name still answers; got $answer"
  done
}

step "a signed version with wrong answers"
cp -r examples/models/log-triage "$work/wrong"
python3 - "$work/wrong/golden.jsonl" <<'PY'
import json, sys
cases = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
for case in cases:
    case["expect"] = '{"severity":"info","component":"other","cause":"none","action":"none"}'
open(sys.argv[1], "w", encoding="utf-8").writelines(json.dumps(case) + "\n" for case in cases)
PY
pack "$work/wrong" 1.2.0 3 "$work/packed/wrong" --derived "$models/log-triage" --variant q8_0 --variant q4_k_m --variant q2_k
fleet push "$work/packed/wrong" "${signing[@]}" >/dev/null 2>&1
refused_by_device models/acme/log-triage/1.2.0 'gate_failed|golden'
note "signed but wrong (1.2.0)" "golden set failed on the device, rollout halted, 1.1.0 answers"

step "a signed version that kills its worker"
cp -r examples/models/log-triage "$work/crash"
python3 scripts/demo/crash_gguf.py "$models/log-triage/log-triage-q4_k_m.gguf" "$work/crash/crash.gguf"
sed -i '/^\[\[variant\]\]/,$d; s/^prefer = .*/prefer = ["bad"]/' "$work/crash/model.toml"
printf '[[variant]]\nname = "bad"\nfile = "crash.gguf"\n' >>"$work/crash/model.toml"
pack "$work/crash" 1.3.0 4 "$work/packed/crash"
fleet push "$work/packed/crash" "${signing[@]}" >/dev/null 2>&1
refused_by_device models/acme/log-triage/1.3.0 'worker_lost|signal|killed|quarantine'
note "signed but crashing (1.3.0)" "the worker aborted, the daemon did not; rollout halted"
