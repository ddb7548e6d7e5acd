#!/usr/bin/env bash
# Installs what building (and, with the argument "test", testing; with "bench", also other servers that are measured
# beside) needs from the distribution.
# Says what it is about to do; silent if nothing is missing.
set -euo pipefail

packages=(librocksdb-dev libclang-dev mosquitto-clients)
purpose=${1:-}
if [[ $purpose == test || $purpose == bench ]]; then
  packages+=(mosquitto python3-venv)
  # From wherever they are; Debian's packages are new enough.
  command -v node >/dev/null || packages+=(nodejs)
  command -v npm >/dev/null || packages+=(npm)
fi
if [[ $purpose == bench ]]; then
  packages+=(rabbitmq-server ejabberd erlang-p1-sqlite3 prosody)
fi

if ! command -v cargo >/dev/null; then
  echo "cargo is missing: install Rust from https://rustup.rs and run this again" >&2
  exit 1
fi
if ! command -v cc >/dev/null; then
  packages+=(build-essential)
fi

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  missing=()
  for header in /usr/include /usr/local/include /opt/homebrew/include "${ROCKSDB_INCLUDE_DIR:-}"; do
    [[ -n $header && -e $header/rocksdb/c.h ]] && found=1
  done
  [[ -n ${found:-} ]] || missing+=("RocksDB with headers (rocksdb-devel, rocksdb)")
  command -v mosquitto_pub >/dev/null || missing+=("the mosquitto clients (mosquitto)")
  if [[ -n $purpose ]]; then
    command -v npm >/dev/null || missing+=("Node.js with npm")
  fi
  if [[ ${#missing[@]} -gt 0 ]]; then
    printf 'this system has no apt-get; install with its own package manager:\n' >&2
    printf '  %s\n' "${missing[@]}" "libclang (clang)" >&2
    printf 'and set ROCKSDB_LIB_DIR and ROCKSDB_INCLUDE_DIR if it is not in /usr\n' >&2
    exit 1
  fi
  exit 0
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ $status == installed ]] || missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

sudo=()
if [[ $(id -u) -ne 0 ]]; then
  if ! command -v sudo >/dev/null; then
    echo "install these as root, then run this again: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  sudo=(sudo)
fi
echo "installing with apt-get: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
install=("${sudo[@]}" apt-get install --yes --quiet --quiet --no-install-recommends "${missing[@]}")
# The package lists may be missing or old: only then they are fetched.
"${install[@]}" >/dev/null 2>&1 || { "${sudo[@]}" apt-get update --quiet --quiet; "${install[@]}" >/dev/null; }

# A server that its package starts would hold a port, and take time of every measurement.
if command -v systemctl >/dev/null; then
  for package in "${missing[@]}"; do
    case $package in
      mosquitto | rabbitmq-server | ejabberd | prosody)
        "${sudo[@]}" systemctl disable --now "$package" >/dev/null 2>&1 || true ;;
    esac
  done
fi
