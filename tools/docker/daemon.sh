#!/usr/bin/env bash
# Gives this machine a Docker daemon that can run arm64 programs, for the tests of the docker build step.
#
#   tools/docker/daemon.sh        installs and starts what is missing (Debian, root); one that answers already is left alone
#   tools/docker/daemon.sh stop   stops the daemon that this script started, no other
#
# Exit 3, with one line that says why, where there is none and it cannot be started.
set -euo pipefail
cd "$(dirname "$0")/../.."
state=${LOCAL_TOOLS_DIR:-.tools}/docker
pidfile=$state/dockerd.pid
log=$state/dockerd.log

cannot() {
  echo "docker: $*" >&2
  exit 3
}

# The process that this script started, if it still is a dockerd: an id may belong to another process by now.
started() {
  [ -s "$pidfile" ] && [ "$(cat "/proc/$(cat "$pidfile")/comm" 2>/dev/null)" = dockerd ]
}

stop() {
  started || { echo "docker: no daemon was started by this script" >&2; return; }
  kill "$(cat "$pidfile")"
  for _ in $(seq 60); do
    started || { rm -f "$pidfile"; return; }
    sleep 0.5
  done
  cannot "the daemon (process $(cat "$pidfile")) does not stop; see $log"
}

answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# An emulator for arm64 in the kernel's table, with flag F, so that it is found from within containers.
emulated() {
  case $(uname -m) in aarch64 | arm64) return ;; esac
  grep -qs '^flags:.*F' /proc/sys/fs/binfmt_misc/qemu-aarch64
}

install_packages() {
  local missing=()
  command -v dockerd >/dev/null || missing+=(docker.io)
  command -v qemu-aarch64-static >/dev/null || missing+=(qemu-user-static)
  command -v update-binfmts >/dev/null || missing+=(binfmt-support)
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || cannot "no daemon answers, and ${missing[*]} can be installed on Debian and its kin only"
  echo "docker: installing ${missing[*]}" >&2
  # A third party's source that is out of order makes update fail; whether the packages are there is seen below.
  apt-get update -qq >/dev/null 2>&1 || true
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >"$state/apt.log" 2>&1 ||
    cannot "installing ${missing[*]}: $(grep -m1 '^E:' "$state/apt.log" || echo "see $state/apt.log")"
}

# A daemon that was killed leaves the file with its process number, and the next one takes it for running as long as
# anything has that number, be it what is left of itself.
forget_killed() {
  local file pid
  for file in /var/run/docker.pid /var/run/docker/containerd/containerd.pid; do
    pid=$(cat "$file" 2>/dev/null) || continue
    case $(sed -n 's/^Name:\t//p; s/^State:\t\(.\).*/\1/p' "/proc/$pid/status" 2>/dev/null | tr '\n' ' ') in
    dockerd\ [!Z]* | containerd\ [!Z]*) ;;
    *) rm -f "$file" ;;
    esac
  done
}

# Where networks cannot be made (no iptables, no bridges), the daemon runs without; builds then need the host's.
start() {
  local options
  forget_killed
  for options in "" "--iptables=false --ip6tables=false --bridge=none"; do
    # shellcheck disable=SC2086 # several options
    setsid nohup dockerd $options >"$log" 2>&1 </dev/null &
    echo $! >"$pidfile"
    for _ in $(seq 120); do
      if answers; then
        echo "docker: started dockerd $options(process $(cat "$pidfile"), log $log)" >&2
        return
      fi
      started || break
      sleep 0.25
    done
    if started; then stop; fi
  done
  rm -f "$pidfile"
  cannot "dockerd does not start: $(grep -E 'level=(fatal|error)|^failed' "$log" | tail -1 || true) ($log)"
}

if [ "${1:-}" = stop ]; then
  stop
  exit
fi
if ! answers || { [ -z "${DOCKER_HOST:-}" ] && [ "$(uname)" = Linux ] && ! emulated; }; then
  [ "$(uname)" = Linux ] || cannot "no daemon answers; start Docker"
  [ -z "${DOCKER_HOST:-}" ] || cannot "no daemon answers at DOCKER_HOST=$DOCKER_HOST"
  [ "$(id -u)" = 0 ] || cannot "no daemon that can run arm64 answers, and only root can start one: install and start docker.io, qemu-user-static and binfmt-support"
  mkdir -p "$state"
  install_packages
  if ! emulated; then
    [ -e /proc/sys/fs/binfmt_misc/register ] || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc 2>/dev/null ||
      cannot "this kernel lets no binfmt_misc be mounted, so containers cannot run arm64 programs"
    update-binfmts --enable qemu-aarch64 >/dev/null 2>&1 || true
    emulated || cannot "update-binfmts --enable qemu-aarch64 has no effect, so containers cannot run arm64 programs"
  fi
  answers || start
fi
docker version --format 'docker: {{.Server.Version}} answers' >&2
