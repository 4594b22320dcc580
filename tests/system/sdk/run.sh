#!/usr/bin/env bash
# The plugin SDK, as an author out of the tree meets it: installed alone into a prefix, the template project built with nothing else, checked
# by the installed program, broken in each of several ways and found out by name, and at work: in a sandboxed worker, and on a gateway that
# was given a signed model of the plugin's own format.
#   run.sh   prints TAP
# shellcheck disable=SC2154
set -euo pipefail
cd "$(dirname "$0")/../../.."
root=$PWD
export SKERRY_BUILD=${SKERRY_BUILD:-$root/build/release}
# Read by the parts below.
export keep=${1:---tap}
# shellcheck source=scripts/demo/lib.sh
. scripts/demo/lib.sh

prefix=$work/prefix
# Nothing of this tree but what was installed.
export CMAKE_PREFIX_PATH=$prefix PKG_CONFIG_PATH=$prefix/share/pkgconfig
# The check is no test program to its user: GoogleTest's own switches do nothing.
export GTEST_OUTPUT="xml:$work/reports/" GTEST_FILTER="Nothing.*"

step "the SDK is installed"
cmake --install "$SKERRY_BUILD" --prefix "$prefix" --component plugin-sdk >"$work/install.log"
for file in include/skerry/runtime/plugin.h share/pkgconfig/skerry-plugin.pc share/cmake/SkerryPlugin/SkerryPluginConfig.cmake \
  share/man/man1/skerry-plugin-check.1 share/skerry/examples/plugins/dense/CMakeLists.txt; do
  [ -s "$prefix/$file" ] || fail "$file is installed"
done
check=$prefix/bin/skerry-plugin-check
"$check" --help >"$work/help"
while read -r option; do
  grep -q -- "${option//-/\\\\-}" docs/man/skerry-plugin-check.1 || fail "the manual page has $option"
done < <(grep -Eo -- '--[a-z-]+' "$work/help" | sort -u)
[ "$(find "$prefix/include" -type f | wc -l)" = 1 ] || fail "one header is installed and no other"
note "installed" "header, CMake package, pkg-config file, check, manual page, template"

step "the template builds alone"
template=$prefix/share/skerry/examples/plugins/dense
cp -r "$template" "$work/dense"
{ cmake -S "$work/dense" -B "$work/dense/build" && cmake --build "$work/dense/build"; } >"$work/cmake.log" 2>&1 ||
  fail "it builds: $(tail -n 20 "$work/cmake.log")"
plugin=$work/dense/build/skerry-dense.so
if grep -q 'warning:' "$work/cmake.log"; then
  fail "it builds without a warning: $(grep 'warning:' "$work/cmake.log")"
fi
exported=$(nm -D --defined-only "$plugin" | awk '{print $3}')
[ "$exported" = skerry_get_plugin ] || fail "it exports one symbol; got $exported"
note "built out of tree" "by find_package(SkerryPlugin), no warning, one symbol exported"

if command -v pkg-config >/dev/null; then
  for language in "gcc -std=c11" "g++ -std=c++20"; do
    # shellcheck disable=SC2046,SC2086
    echo '#include <skerry/runtime/plugin.h>' |
      $language -Wall -Wextra -Wpedantic -Wconversion -Werror $(pkg-config --cflags skerry-plugin) -fsyntax-only -x \
        "$([ "${language:0:3}" = gcc ] && echo c || echo c++)" - || fail "the header is clean for $language"
  done
  note "the header alone" "clean for C11 and C++20, found by pkg-config"
fi

step "the conformance suite"
model=$work/climate.dense
python3 "$work/dense/model/make_model.py" "$model"
"$check" "$plugin" "$model" >"$work/lines" || fail "the template passes: $(grep -A3 '^FAIL' "$work/lines")"
"$check" --json "$plugin" "$model" "$model" >"$work/result.json" || fail "and with two models"
[ "$(json 'd["failed"]' <"$work/result.json")" = 0 ] || fail "none failed"
[ "$(json 'd["plugin"]' <"$work/result.json")" = dense ] || fail "the result names the plugin"
passed=$(json 'd["passed"]' <"$work/result.json")
[ "$passed" -ge 30 ] || fail "15 cases and more run for each model; got $passed for two"
[ "$(json 'all(c.get("reason") for c in d["cases"] if c["outcome"] == "skipped")' <"$work/result.json")" = True ] ||
  fail "every skip says why"
ctest --test-dir "$work/dense/build" >"$work/ctest.log" 2>&1 || fail "its own tests pass: $(tail -n 20 "$work/ctest.log")"
grep -q conformance "$work/ctest.log" || fail "its own tests have the suite"
[ ! -e "$work/reports" ] || fail "GoogleTest's switches do nothing"
note "the template passes" "$(tail -n 1 "$work/lines")"

# broken NAME FILE EDIT: a copy of the template that breaks one rule is found out, and the case NAME says so.
broken() {
  local copy=$work/broken-$1 code=0
  cp -r "$template" "$copy"
  sed -E "$3" "$template/$2" >"$copy/$2"
  if cmp -s "$copy/$2" "$template/$2"; then
    fail "the template still has what this test breaks for $1"
  fi
  gcc -std=c11 -O1 -shared -fPIC -fvisibility=hidden -D_POSIX_C_SOURCE=200809L -DDENSE_VERSION='"1.0.0"' -I "$prefix/include" \
    "$copy"/*.c -o "$copy/skerry-dense.so" -lm || fail "a plugin that breaks $1 compiles"
  "$check" --json "$copy/skerry-dense.so" "$model" >"$work/broken.json" 2>"$work/broken.err" || code=$?
  [ "$code" = 1 ] || fail "a plugin that breaks $1 fails with 1; got $code"
  if [ -s "$work/broken.json" ]; then
    want "$(json '[c["case"] for c in d["cases"] if c["outcome"] == "failed"]' <"$work/broken.json")" "$1" "the failed case is named"
  else
    want "$(cat "$work/broken.err")" "^FAIL  $1: .*SIGABRT" "the case that ended the process is named"
  fi
}
broken RefusesARequestForAnotherModel run.c 's/memcmp\(request->model_digest.*\) != 0/0/'
broken RefusesAnUnknownOption load.c 's/options->option_count > 0/0/'
broken KeepsToTheSizesOfAnOlderHost plugin.c 's/^( *)out->memory_count = 1;/\1out->memory_count = 1;\n\1out->spare_sequences = 1;/'
broken RefusesAnotherMajorVersion plugin.c 's/abi_major == SKERRY_ABI_MAJOR \? &plugin : NULL/abi_major > 0 ? \&plugin : NULL/'
broken InfersAndEmitsCheckedTensors run.c 's/^( *)const unsigned char\* samples = input->data;/&\n\1abort();/'
note "broken ones are found out" "four by the case that failed, one by the case that it died in"

cp "$plugin" "$work/renamed.so"
code=0
"$check" "$work/renamed.so" "$model" 2>"$work/err" || code=$?
[ "$code" = 2 ] || fail "a file name that no host finds is refused with 2; got $code"
want "$(cat "$work/err")" 'skerry-NAME\.so' "and says how a plugin is called"
code=0
"$check" --case 'NoSuch*' "$plugin" "$model" 2>"$work/err" >&2 || code=$?
[ "$code" = 2 ] || fail "an unknown case is refused with 2; got $code"
echo 'void nothing(void); void nothing(void) {}' | gcc -shared -fPIC -x c - -o "$work/skerry-nothing.so"
code=0
"$check" "$work/skerry-nothing.so" >"$work/lines" || code=$?
[ "$code" = 1 ] || fail "a library that is no plugin fails; got $code"
want "$(cat "$work/lines")" 'skerry_get_plugin' "and says what it lacks"
"$check" "$SKERRY_BUILD/lib/skerry/plugins/skerry-null.so" >"$work/lines" || fail "a plugin that needs no model passes without one"
note "the command" "names, cases and strangers refused; a plugin without a model checked"

step "in a sandboxed worker"
cmake --install "$work/dense/build" --prefix "$prefix" >"$work/install.log"
plugins=$prefix/lib/skerry/plugins
[ -e "$plugins/skerry-dense.so" ] || fail "the template installs itself where a host looks"
cp "$model" "$work/dense/model/climate.dense"
"$skerry" --json model evaluate "$work/dense/model" --derived "$work/derived" --plugins "$plugins" --min-accuracy 1 >"$work/measured" ||
  fail "every golden answer is right: $(cat "$work/measured")"
note "evaluated" "$(json 'd[0]["cases"]' <"$work/measured") golden answers of $(json 'd[0]["cases"]' <"$work/measured")"

step "on a gateway"
# shellcheck source=scripts/demo/setup.sh
. scripts/demo/setup.sh
# shellcheck source=tests/integration/models.sh
. tests/integration/models.sh
"$skerry" model pack "$work/dense/model" --out "$work/packed" >/dev/null
push "$work/packed" || fail "the model is pushed"
write_gateway one 1GiB
sed -i "s|^\[runtime\]|[runtime]\nplugin_dir = \"$plugins\"\nsandbox = \"best_effort\"\nworker_user = \"\"|" "$work/one/skerryd.toml"
connect one
fleet_within 60 rollout start models/acme/climate/1.0.0 --slot default --canary 1 --watch >/dev/null
python3 scripts/demo/window.py "$work/dense/model/golden.json" "$work/x.json" >"$work/class"
answer=$(gateway one infer default --input "x=$work/x.json" --json)
got=$(json 'max(range(3), key=d["outputs"][0]["data"].__getitem__)' <<<"$answer")
[ "$got" = "$(cat "$work/class")" ] || fail "the gateway's answer is class $(cat "$work/class"); got $answer"
note "a gateway answers" "signed model of the plugin's own format, golden set passed there, class $got"
finish >/dev/null
echo "1..${#shown[@]}"
