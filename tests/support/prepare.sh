#!/usr/bin/env bash
# Installs with apt what is missing of packages.txt: `prepare.sh build`; `prepare.sh checks` adds CI's tools,
# `prepare.sh compare` what tests/bench/compare.sh measures us beside.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

case "${1:-build}" in
  build) sets='^build$' ;;
  checks) sets='^(build|checks)$' ;;
  compare) sets='^(build|compare)$' ;;
  *) echo "prepare.sh: \"$1\" is no set of packages; write build, checks or compare" >&2; exit 2 ;;
esac

mapfile -t wanted < <(awk -v sets="$sets" '$1 ~ sets {print $2}' "$here/packages.txt")
missing=()
for package in "${wanted[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
[ "${#missing[@]}" -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
  echo "prepare.sh: not a Debian system (no apt-get); install what matches: ${missing[*]}" >&2
  exit 1
fi
root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || {
    echo "prepare.sh: packages missing and no sudo; run as root: apt-get install ${missing[*]}" >&2
    exit 1
  }
  root=(sudo)
fi

echo "installing ${#missing[@]} packages: ${missing[*]}"
"${root[@]}" apt-get update -qq </dev/null
"${root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >/dev/null
