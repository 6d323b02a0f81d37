#!/usr/bin/env bash
# What `make test-services` needs beyond Python: strace, Chromium, PostgreSQL, Java and Maven (where we may install
# them) and the SDKs from npm. `install.sh servers`: only what starts Kafka and PostgreSQL, for `make cluster`.
set -euo pipefail
cd "$(dirname "$0")"

has_postgres() {
  command -v postgres >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null
}

missing=()
has_postgres || missing+=(postgresql)
command -v java >/dev/null || missing+=(default-jre-headless)
command -v mvn >/dev/null || missing+=(maven)
if [[ ${1:-} != servers ]]; then
  command -v strace >/dev/null || missing+=(strace)
  command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null ||
    missing+=(chromium)
fi
if ((${#missing[@]})) && command -v apt-get >/dev/null; then
  as_root=()
  if ((EUID != 0)); then as_root=(sudo -n); fi
  if ((EUID == 0)) || sudo -n true 2>/dev/null; then
    apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
    "${apt[@]}" update
    "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null
  else
    echo "not root, and no sudo: what needs ${missing[*]} will fail" >&2
  fi
fi
if [[ ${1:-} == servers ]]; then exit; fi

if command -v npm >/dev/null; then
  (cd node && npm install --silent --no-save --no-package-lock --no-audit --no-fund --ignore-scripts)
else
  echo "no npm: tests with the SDKs of Node and browsers will fail" >&2
fi
