#!/bin/sh
# Prints the path of a kubectl of the reference release for the tests: the one in .cache/bin, else Debian's package from unstable,
# unpacked there without being installed. Exits 1 with a sentence when none can be had.
set -u
cd "$(dirname "$0")/.." || exit 1
kubectl=$(pwd)/.cache/bin/kubectl
wanted=v1.36

is_wanted() { "$1" version --client 2>/dev/null | grep -q "^Client Version: $wanted\."; }

fail() {
  echo "no kubectl $wanted: $1" >&2
  exit 1
}

if [ -x "$kubectl" ]; then
  echo "$kubectl"
  exit 0
fi
installed=$(command -v kubectl || true)
if [ -n "$installed" ] && is_wanted "$installed"; then
  echo "$installed"
  exit 0
fi
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || fail 'this is not Debian or Ubuntu, and none is on PATH'
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | sed -n 's/^URIs: *//p; s/^deb  *\(\[[^]]*\] *\)\{0,1\}\(http[^ ]*\).*/\2/p' | grep -v security | head -n 1)
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -n "$mirror" ] && [ -e "$keyring" ] || fail 'no Debian mirror is configured'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
echo "deb [signed-by=$keyring] ${mirror%/} sid main" >"$work/sources.list"
apt() {
  command=$1
  shift
  "$command" -q -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$work/lists" \
    -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root "$@"
}
apt apt-get update >"$work/log" 2>&1 || fail "$(tail -n 1 "$work/log")"
version=$(apt apt-cache madison kubernetes-client | awk 'NR == 1 { print $3 }')
# The program is in a package of its own beside kubernetes-client.
(cd "$work" && apt apt-get download "kubectl=$version") >"$work/log" 2>&1 || fail "$(tail -n 1 "$work/log")"
dpkg-deb -x "$work"/kubectl_*.deb "$work/tree" || fail 'its package could not be unpacked'
is_wanted "$work/tree/usr/bin/kubectl" || fail "Debian has $version"
mkdir -p .cache/bin && mv "$work/tree/usr/bin/kubectl" "$kubectl" && echo "$kubectl"
