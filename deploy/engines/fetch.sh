#!/bin/sh
# Fetches the pinned inference engines (README.md) into build/engines/: headers and shared libraries of
# llama.cpp and ONNX Runtime. Idempotent; prints one line and is quick when nothing is missing.
#   fetch.sh [destination]      default: <repository>/build/engines
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
dest=${1:-$here/../../build/engines}
min_ort_api=21

die() {
  echo "engines: $1" >&2
  exit 1
}

case $(uname -m) in
  x86_64) arch=x64 ;;
  aarch64 | arm64) arch=arm64 ;;
  *) die "no prebuilt engines for $(uname -m); install libllama-dev and libonnxruntime-dev instead" ;;
esac

stamp=$(cat "$here/package-lock.json" "$here/fetch.sh" | sha256sum | cut -c1-64)-$arch
if [ -f "$dest/stamp" ] && [ "$(cat "$dest/stamp")" = "$stamp" ]; then
  echo "engines: up to date"
  exit 0
fi

for tool in npm node git dpkg-deb apt-get flock; do
  command -v "$tool" >/dev/null 2>&1 || die "$tool is not installed (run 'make setup')"
done

mkdir -p "$dest" || die "cannot create $dest"
dest=$(CDPATH='' cd -- "$dest" && pwd)
exec 9>"$dest.lock"
flock 9
if [ -f "$dest/stamp" ] && [ "$(cat "$dest/stamp")" = "$stamp" ]; then
  echo "engines: up to date"
  exit 0
fi

work=$(mktemp -d "$dest.partial.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM
chmod 755 "$work"

# 1. The tarballs, each checked against its SHA-512 in package-lock.json; no install script runs.
mkdir "$work/npm" "$work/out"
cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$work/npm/"
(cd "$work/npm" && npm ci --ignore-scripts --no-bin-links --loglevel=error >"$work/npm.log" 2>&1) ||
  die "npm could not fetch the pinned packages: $(grep -m1 -i 'error' "$work/npm.log" || tail -n1 "$work/npm.log")"
modules=$work/npm/node_modules

# 2. llama.cpp: libraries from the prebuilt package, headers and vocab-only models from the matching git bundle.
mkdir -p "$work/out/llama/include" "$work/out/llama/lib" "$work/out/llama/models"
bins=$modules/@node-llama-cpp/linux-$arch/bins/linux-$arch
[ -d "$bins" ] || die "the llama.cpp package has no linux-$arch libraries"
cp "$bins"/libllama.v*.so "$bins"/libggml*.so "$work/out/llama/lib/"
cp "$modules/@node-llama-cpp/linux-$arch/LICENSE" "$work/out/llama/LICENSE"
cp "$modules/node-llama-cpp/llama/llama.cpp.info.json" "$work/out/llama/release.json"
git -c advice.detachedHead=false clone -q --no-checkout "$modules/node-llama-cpp/llama/gitRelease.bundle" \
  "$work/llama.git" >"$work/git.log" 2>&1 || die "the llama.cpp source bundle cannot be read: $(tail -n1 "$work/git.log")"
git -C "$work/llama.git" archive HEAD include ggml/include models | tar -x -C "$work/llama.git" ||
  die "the llama.cpp source bundle has no headers"
cp "$work/llama.git/include"/*.h "$work/llama.git/ggml/include"/*.h "$work/out/llama/include/"
cp "$work/llama.git/models"/ggml-vocab-*.gguf "$work/out/llama/models/"

# 3. ONNX Runtime: Microsoft's library; the C header is in Debian 13, whose suite is read through an apt state
#    of its own (signatures checked) and never added to this machine.
mkdir -p "$work/out/onnxruntime/include" "$work/out/onnxruntime/lib"
cp "$modules/onnxruntime-node/bin/napi-v6/linux/$arch/libonnxruntime.so.1" "$work/out/onnxruntime/lib/"
header=/usr/include/onnxruntime/onnxruntime_c_api.h
if [ -f "$header" ]; then
  cp /usr/include/onnxruntime/*.h "$work/out/onnxruntime/include/"
else
  keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  [ -f "$keyring" ] || die "$keyring is missing; install debian-archive-keyring"
  # The mirror that this machine already uses for Debian's main component.
  # shellcheck disable=SC2016  # apt expands these, not the shell
  mirror=$(apt-get indextargets --format '$(REPO_URI) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
    awk '$2 == "main" && $1 ~ /debian/ && $1 !~ /security/ { print $1; exit }')
  [ -n "$mirror" ] || mirror=http://deb.debian.org/debian/
  apt=$work/apt
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/get"
  : >"$apt/status"
  echo "deb [signed-by=$keyring] $mirror trixie main" >"$apt/sources.list"
  private_apt() {
    apt-get -qq -o Dir::State="$apt" -o Dir::State::lists="$apt/lists" -o Dir::State::status="$apt/status" \
      -o Dir::Cache="$apt/cache" -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=- \
      -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=- -o Acquire::Languages=none \
      -o APT::Sandbox::User="$(id -un)" -o APT::Update::Error-Mode=any "$@"
  }
  private_apt update >"$work/apt.log" 2>&1 || die "the Debian 13 index cannot be read: $(tail -n1 "$work/apt.log")"
  (cd "$apt/get" && private_apt download libonnxruntime-dev) >"$work/apt.log" 2>&1 ||
    die "libonnxruntime-dev cannot be fetched: $(tail -n1 "$work/apt.log")"
  dpkg-deb --fsys-tarfile "$apt/get"/libonnxruntime-dev_*.deb |
    tar -x -C "$apt/get" ./usr/include/onnxruntime ./usr/share/doc/libonnxruntime-dev/copyright ||
    die "libonnxruntime-dev has no headers"
  cp "$apt/get/usr/include/onnxruntime"/*.h "$work/out/onnxruntime/include/"
  cp "$apt/get/usr/share/doc/libonnxruntime-dev/copyright" "$work/out/onnxruntime/LICENSE"
fi
api=$(sed -n 's/^#define ORT_API_VERSION \([0-9]*\)$/\1/p' "$work/out/onnxruntime/include/onnxruntime_c_api.h")
[ "${api:-0}" -ge "$min_ort_api" ] || die "the ONNX Runtime header has API ${api:-none}, at least $min_ort_api is needed"

# 4. Publish in one rename; a reader sees the old tree or the new one.
chmod -R u+w,go=rX "$work/out"
echo "$stamp" >"$work/out/stamp"
rm -rf "$dest"
mv "$work/out" "$dest"
release=$(sed -n 's/.*"tag": *"\([^"]*\)".*/\1/p' "$dest/llama/release.json")
echo "engines: fetched llama.cpp ${release:-unknown} and ONNX Runtime (API $api header) into ${dest#"$PWD"/}"
