# shellcheck shell=bash disable=SC2154
# Real answers to real log lines: the CLI, gRPC by an unmodified client, OpenAI HTTP, and a tensor model.

step "answers"
# Lines on which every variant but the smallest agrees are the golden set; the answer is checked whole.
line=$(sed -n 1p examples/models/log-triage/golden.jsonl | json 'd["prompt"]')
expected=$(sed -n 1p examples/models/log-triage/golden.jsonl | json 'd["expect"]')
for name in large small; do
  answer=$(gateway "$name" run default --raw --temperature 0 "$line")
  [ "$answer" = "$expected" ] || fail "$name answers $expected; got $answer"
done
bare=${line#\[INST\] }
bare=${bare% \[/INST\]}
chat=$(gateway large run acme/log-triage --temperature 0 "$bare")
[ "$chat" = "$expected" ] || fail "the chat template makes the same prompt; got $chat"
note "answers by the CLI" "$expected"

grpc=$(node tests/system/clients/grpc-generate.mjs "$work/large/api.sock" default "$line")
[ "$(json 'd["text"]' <<<"$grpc")" = "$expected" ] || fail "@grpc/grpc-js gets the same answer; got $grpc"
note "answers by gRPC" "@grpc/grpc-js: same answer from $(json 'd["variant"]' <<<"$grpc")"

http=$(curl -sS --unix-socket "$work/small/http.sock" http://localhost/v1/chat/completions -H 'content-type: application/json' \
  -d "$(python3 -c 'import json, sys; print(json.dumps({"model": "default", "temperature": 0, "messages": [{"role": "user", "content": sys.argv[1]}]}))' "$bare")")
[ "$(json 'd["choices"][0]["message"]["content"]' <<<"$http")" = "$expected" ] ||
  fail "the OpenAI API gives the same answer; got $http"
note "answers by OpenAI HTTP" "same answer, $(json 'd["usage"]["completion_tokens"]' <<<"$http") tokens"

python3 scripts/demo/window.py examples/models/vibration/golden.json "$work/window.json" >"$work/class"
tensor=$(gateway small infer vibration --input "window=$work/window.json" --json)
got=$(json 'max(range(len(d["outputs"][0]["data"])), key=d["outputs"][0]["data"].__getitem__)' <<<"$tensor")
[ "$got" = "$(cat "$work/class")" ] || fail "the vibration window is class $(cat "$work/class"); got $tensor"
note "answers by a tensor model" "vibration $(json 'd["variant"]' <<<"$tensor"): class $got"
