#!/usr/bin/env bash
# One request through the real gateway and two services, as Jaeger tells of it: its query API has to give
# one trace with the right parents, attributes and link.
#
#   tests/jaeger/run.sh            checks
#   tests/jaeger/run.sh --keep     checks, and goes on showing the trace in Jaeger's UI
#
# Needs `protoc`, `curl` and `jq`, and installs Debian's packages with apt-get where they are missing. All of
# it is on loopback, on ports that are free; what is started here ends here.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."

as_root() {
  if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi
}

missing=()
command -v protoc >/dev/null || missing+=(protobuf-compiler)
command -v curl >/dev/null || missing+=(curl)
command -v jq >/dev/null || missing+=(jq)
if ((${#missing[@]} > 0)); then
  export DEBIAN_FRONTEND=noninteractive
  as_root apt-get update -qq
  as_root apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

# One directory for all: most of what they depend on is the same.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
readonly BUILT="$CARGO_TARGET_DIR/debug"
cargo build --locked --package buttress-gateway --package buttress-example-tracing
cargo build --locked --manifest-path tests/jaeger/Cargo.toml

"$BUILT/buttress-gateway" check --config examples/tracing/gateway.toml
run=("$BUILT/buttress-jaeger" "$BUILT/buttress-gateway" "$BUILT/buttress-example-tracing" "$@")
if (($# > 0)); then
  exec "${run[@]}"
fi
exec timeout --kill-after=10 180 "${run[@]}"
