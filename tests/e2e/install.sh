#!/usr/bin/env bash
# What `make test-services` needs beyond Python: strace and wrk (where we may install them) and the Node SDKs.
set -euo pipefail
cd "$(dirname "$0")"

missing=()
for tool in strace wrk; do
  command -v "$tool" >/dev/null || missing+=("$tool")
done
if ((${#missing[@]})) && command -v apt-get >/dev/null; then
  as_root=()
  if ((EUID != 0)); then as_root=(sudo -n); fi
  if ((EUID == 0)) || sudo -n true 2>/dev/null; then
    "${as_root[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  else
    echo "not root, and no sudo: tests that need ${missing[*]} will be skipped" >&2
  fi
fi

if [[ -f node/package.json ]]; then
  if command -v npm >/dev/null; then
    (cd node && npm install --silent --no-save --no-package-lock --no-audit --no-fund --ignore-scripts)
  else
    echo "no npm: tests with the Node SDKs will be skipped" >&2
  fi
fi
