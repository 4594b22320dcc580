#!/usr/bin/env bash
# serving.sh BIN: the rows of bench/serving on a model of the shape of Qwen2.5-0.5B (SHAPE=llama-3.2-1b
# for the other), then one stream under a CPU quota of one core where cgroups can be made.
set -euo pipefail
bin=$1
shape=${SHAPE:-qwen2.5-0.5b}
rounds=${ROUNDS:-5}
if [ -n "${LLAMA_SERVER:-}" ]; then
  echo "serving.sh: a comparison with a llama-server is not part of this bench; unset LLAMA_SERVER" >&2
  exit 2
fi
folder=$(mktemp -d)
group=
clean() {
  if [ -n "$group" ]; then
    rmdir "$group" 2>/dev/null || true
  fi
  rm -rf "$folder"
}
trap clean EXIT
model=$folder/model.gguf
"$bin/skerry-bench-random-model" --shape "$shape" "$model"
echo "== $shape, q4_0, random weights; no llama-server: Skerry's own rows"
"$bin/skerry-bench-serving" --model "$model" --rounds "$rounds"

# One core's worth of time on all cores: cgroup v1's cpu controller, or a v2 group of one's own.
if group=/sys/fs/cgroup/cpu/skerry-bench-$$ && mkdir "$group" 2>/dev/null; then
  echo 100000 >"$group/cpu.cfs_period_us"
  echo 100000 >"$group/cpu.cfs_quota_us"
elif group=/sys/fs/cgroup/skerry-bench-$$ && mkdir "$group" 2>/dev/null &&
  echo "100000 100000" >"$group/cpu.max" 2>/dev/null; then
  :
else
  rmdir "$group" 2>/dev/null || true
  group=
  echo "no cgroup can be made here: the quota row is left out"
  exit 0
fi
echo "== under a quota of one core"
(
  echo "$BASHPID" >"$group/cgroup.procs"
  exec "$bin/skerry-bench-serving" --model "$model" --rounds "$rounds" --rows lone
)
