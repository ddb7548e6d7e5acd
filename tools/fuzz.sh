#!/usr/bin/env bash
# Fuzzes every target (or the one of $2) for $1 minutes in all, from the corpora in the tree.
#
# libFuzzer follows the coverage that LLVM's pass counts: both are in stable Rust, without
# sanitizers, which Rust has in nightly alone. Its C++ is compiled here and nowhere else. What it
# finds to go new ways is kept in the build folder; what breaks a promise is left there, named at
# the end, and the script fails. With PACK=1 the corpora in the tree become what was found, without
# what goes no new way.
set -euo pipefail

command -v c++ >/dev/null || { echo "a C++ compiler is missing (g++)" >&2; exit 1; }

minutes=${1:-10}
only=${2:-}
cd "$(dirname "$0")/.."
target_dir=${CARGO_TARGET_DIR:-$PWD/target}
work=$target_dir/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')

# An explicit target keeps these flags from build scripts and procedural macros.
flags="-C passes=sancov-module -C codegen-units=1 --cfg fuzzing"
for argument in level=4 inline-8bit-counters pc-table trace-compares; do
  flags+=" -C llvm-args=-sanitizer-coverage-$argument"
done
CARGO_TARGET_DIR=$work/build RUSTFLAGS=$flags \
  cargo build --package bluetick-fuzz --features engine --bin fuzz --release \
  --target "$host" --config profile.release.debug-assertions=true \
  --config profile.release.lto=false
CARGO_TARGET_DIR=$target_dir cargo build --quiet --package bluetick-fuzz --bin corpus
fuzz=$work/build/$host/release/fuzz
corpus=$target_dir/debug/corpus

targets=()
for file in fuzz/corpus/*.txt; do
  name=$(basename "$file" .txt)
  [[ -n $only && $only != "$name" ]] || targets+=("$name")
done
[[ ${#targets[@]} -gt 0 ]] || { echo "there is no target $only" >&2; exit 1; }

seconds=$((minutes * 60 / ${#targets[@]}))
failed=()
for name in "${targets[@]}"; do
  tree=$work/tree/$name found=$work/found/$name broken=$work/broken/$name
  rm -rf "$tree"
  mkdir -p "$found" "$broken"
  "$corpus" unpack "$name" "$tree"
  echo "== $name, $seconds s"
  FUZZ_TARGET=$name "$fuzz" "$found" "$tree" -max_total_time="$seconds" -max_len=512 -timeout=10 \
    -artifact_prefix="$broken/" -print_final_stats=1 >"$work/$name.log" 2>&1 || failed+=("$name")
  grep -E '^(stat::number_of_executed_units|#[0-9]+.*DONE)' "$work/$name.log" || true
  if [[ -n ${PACK:-} ]]; then
    small=$work/small/$name
    rm -rf "$small" && mkdir -p "$small"
    FUZZ_TARGET=$name "$fuzz" -merge=1 -max_len=256 -use_counters=0 "$small" "$tree" "$found" >>"$work/$name.log" 2>&1
    "$corpus" pack "$name" "$small"
  fi
done

for name in "${failed[@]}"; do
  echo "$name breaks; what it said is in $work/$name.log, the inputs are:" >&2
  for input in "$work/broken/$name"/*; do
    echo "  $(od -An -v -tx1 "$input" | tr -d ' \n')" >&2
  done
done
[[ ${#failed[@]} -eq 0 ]]
