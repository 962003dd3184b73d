#!/bin/sh
# Makes this checkout runnable: `npm start`, `npm stop` and `npm test` call it first. Says nothing and takes a few milliseconds when
# nothing is missing.
#
#   sh tools/setup.sh             npm packages (among them Node 26, from the npm package `node`)
#   sh tools/setup.sh --runtime   also what real containers need: containerd, runc, CNI plugins, nftables... with apt, when root
#   sh tools/setup.sh --tests     also a registry, from which the tests pull
#
# Exit code: 0 when proa can run (without a runtime on simulated nodes, and then it has said so), 1 when the npm packages could not be
# installed.
set -u
cd "$(dirname "$0")/.." || exit 1
PATH="$PATH:/usr/sbin:/sbin"

log=$(pwd)/.cache/setup.log

# Runs a command with its output in the log; shows the log's end when it fails.
quietly() {
  mkdir -p .cache
  printf '$ %s\n' "$*" >>"$log"
  "$@" >>"$log" 2>&1 && return 0
  echo "proa: '$*' failed; the end of $log:" >&2
  tail -n 15 "$log" >&2
  return 1
}

has_npm_packages() {
  [ -e node_modules/.package-lock.json ] && [ -x node_modules/.bin/node ] &&
    ! [ package-lock.json -nt node_modules/.package-lock.json ]
}

install_npm_packages() {
  if ! command -v npm >/dev/null; then
    echo 'proa: npm is not installed; install Node.js with npm first (any version, for example: apt-get install npm)' >&2
    return 1
  fi
  if [ -L node_modules ]; then
    echo 'proa: node_modules is a symbolic link, and installing would replace what it leads to; remove the link first' >&2
    return 1
  fi
  echo 'proa: installing npm packages (npm ci)'
  quietly npm ci --no-audit --no-fund --loglevel=error || return 1
  # The package `node` fetches its program in an install script, which npm skips where scripts are switched off.
  [ -x node_modules/.bin/node ] || quietly npm rebuild --ignore-scripts=false node || return 1
  if ! node_modules/.bin/node --version >>"$log" 2>&1; then
    echo 'proa: node_modules/.bin/node does not run on this machine' >&2
    return 1
  fi
  # So that the comparison of ages above holds even when the lock file was written by this very run.
  touch node_modules/.package-lock.json
}

# Names the Debian packages that are missing, judged by what they put on the machine: containerd may also come from Docker's package.
missing_packages() {
  command -v containerd >/dev/null && command -v ctr >/dev/null || printf ' containerd'
  command -v runc >/dev/null || printf ' runc'
  [ -x /usr/lib/cni/bridge ] || [ -x /opt/cni/bin/bridge ] || printf ' containernetworking-plugins'
  command -v nft >/dev/null || printf ' nftables'
  # Images are made from it, so it must need no shared libraries.
  [ -x /bin/busybox ] && ! head -c 4096 /bin/busybox | grep -q ld-linux || printf ' busybox-static'
  command -v ip >/dev/null || printf ' iproute2'
  command -v conntrack >/dev/null || printf ' conntrack'
  [ "$1" != --tests ] || command -v docker-registry >/dev/null || printf ' docker-registry'
}

install_runtime() {
  echo "proa: installing$1 (apt-get)"
  # proa runs a containerd of its own: dpkg must start no service. The policy is ours only where the machine has none.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    trap 'exit 1' INT TERM HUP
    printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy
  fi
  export DEBIAN_FRONTEND=noninteractive
  # A foreign repository that does not answer must not stop this: whether the packages are to be had is seen by the installation.
  quietly apt-get update -q -o DPkg::Lock::Timeout=120 || echo 'proa: going on with the package lists at hand' >&2
  # shellcheck disable=SC2086 # a list of words
  quietly apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=120 $1
}

has_npm_packages || install_npm_packages || exit 1

case "${1:-}" in --runtime | --tests) ;; *) exit 0 ;; esac
missing=$(missing_packages "$1")
[ -n "$missing" ] || exit 0
if [ "$(uname -s)" != Linux ]; then
  echo 'proa: real containers need Linux; simulated nodes will be used'
elif ! command -v apt-get >/dev/null; then
  echo "proa: real containers need$missing (names as in Debian), which only apt-get can install from here; simulated nodes will be used"
elif [ "$(id -u)" != 0 ]; then
  echo "proa: real containers need root and$missing; simulated nodes will be used (or: sudo sh tools/setup.sh --runtime)"
elif ! install_runtime "$missing"; then
  echo "proa:$missing could not be installed; simulated nodes will be used" >&2
fi
