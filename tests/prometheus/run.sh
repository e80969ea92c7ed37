#!/usr/bin/env bash
# A real Prometheus scrapes what buttress exposes: the gateway's demo, and a recorder that was told
# known durations, as OpenMetrics and as protobuf with native histograms. What it makes of them has
# to agree with the durations, and promtool has to find nothing to say. The queries of the dashboards are asked,
# and promtool checks and tests the rules.
#
#   tests/prometheus/run.sh
#
# Needs Debian's package `prometheus`, with promtool, and installs it with apt-get where it is
# missing. All of it is on loopback, on ports that are free; what is started here ends here.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."

as_root() {
  if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi
}

if ! command -v prometheus >/dev/null || ! command -v promtool >/dev/null; then
  # Without its service: another Prometheus on this machine is nobody's wish.
  export DEBIAN_FRONTEND=noninteractive
  as_root apt-get update -qq
  as_root env RUNLEVEL=1 apt-get install -y -qq --no-install-recommends prometheus
fi
prometheus --version 2>&1 | head -n 1

promtool check rules rules/*.yaml
promtool test rules rules/tests/*.yaml
# The configuration of the example, beside the rules as its containers have them.
example="$(mktemp -d)"
trap 'rm -r "$example"' EXIT
cp -r rules examples/tracing/prometheus.yaml "$example"
promtool check config "$example/prometheus.yaml"

cargo build --locked --package buttress-tests --example prometheus
timeout --kill-after=10 180 \
  "${CARGO_TARGET_DIR:-target}/debug/examples/prometheus"
