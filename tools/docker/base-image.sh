#!/usr/bin/env bash
# Gives the local Docker daemon AWS's build image for Python functions, which bundle/Dockerfile starts from: pulls it, and
# where that cannot be done makes a stand-in from Debian's packages of the other architecture and loads it under that name.
#
#   tools/docker/base-image.sh [RUNTIME [ARCH]]      python3.11 arm64; ARCH is arm64 or x86_64
#
# An image of the name that is there already is left alone. The stand-in has the label stand-in=debian and its interpreter
# says no to wheels for a glibc newer than the runtime's, as AWS's own does. It needs no root and no arm64 emulation.
set -euo pipefail
cd "$(dirname "$0")/../.."
runtime=${1:-python3.11}
arch=${2:-arm64}
case $arch in
arm64) debian=arm64 ;;
x86_64) debian=amd64 ;;
*) echo "base-image: architecture $arch: want arm64 or x86_64" >&2 && exit 2 ;;
esac
case $runtime in
python3.8 | python3.9 | python3.10 | python3.11) glibc=26 ;; # Amazon Linux 2
*) glibc=34 ;;                                              # Amazon Linux 2023
esac
name=public.ecr.aws/sam/build-$runtime:latest-$arch

if ! docker version >/dev/null 2>&1; then
  echo "base-image: no Docker daemon answers; start one (tools/docker/daemon.sh)" >&2
  exit 3
fi
if docker image inspect "$name" >/dev/null 2>&1 || docker pull -q --platform "linux/$debian" "$name" >/dev/null 2>&1; then
  echo "base-image: $name is there ($(docker image inspect --format 'stand-in: {{or (index .Config.Labels "stand-in") "no"}}' "$name"))" >&2
  exit
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/apt/lists/partial "$work"/apt/archives/partial "$work"/debs "$work"/root/tmp
: >"$work/apt/status" # no package is installed, and the host's own lists stay what they are
options=(-o "APT::Architecture=$debian" -o "APT::Architectures=$debian" -o APT::Sandbox::User=root
  -o "Dir::State=$work/apt" -o "Dir::State::status=$work/apt/status" -o "Dir::Cache=$work/apt" -o Acquire::Languages=none)
# A third party's source that has nothing for this architecture makes update fail; whether the packages are there is seen below.
apt-get "${options[@]}" -qq update >"$work/log" 2>&1 || true
wanted=("$runtime-minimal" "lib$runtime-stdlib" python3-pip python3-setuptools python3-pkg-resources python3-wheel python3-distutils
  python3-lib2to3 dash coreutils)
# The shared libraries that these need; Debian's tools for maintainer scripts are not run, so they stay out.
mapfile -t libraries < <(apt-cache "${options[@]}" depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
  --no-enhances "$runtime-minimal" "lib$runtime-stdlib" libstdc++6 coreutils 2>>"$work/log" | grep -E '^(lib|zlib1g)' | grep -vE '^(libperl|libpam|libpython3-)' || true)
(cd "$work/debs" && apt-get "${options[@]}" -qq download "${wanted[@]}" "${libraries[@]}") >>"$work/log" 2>&1 || {
  echo "base-image: $name cannot be pulled, and no stand-in can be made here: $(grep -m1 '^E:' "$work/log" || echo 'no Debian packages')" >&2
  exit 3
}
for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$work/root"; done

cd "$work/root"
chmod 1777 tmp
rm -f "usr/lib/$runtime/EXTERNALLY-MANAGED"
ln -sf "$runtime" usr/bin/python3
[ -e bin/sh ] || ln -s dash bin/sh
cat >usr/lib/python3/dist-packages/_manylinux.py <<PY
def manylinux_compatible(major, minor, arch):
    return (major, minor) <= (2, $glibc)
PY
# Compiled modules, where this machine has the same Python: pip then starts in a fraction of the time under emulation.
! command -v "$runtime" >/dev/null ||
  "$runtime" -m compileall -q -j 0 --invalidation-mode unchecked-hash "usr/lib/$runtime" usr/lib/python3 >/dev/null || true
mkdir -p etc/ssl/certs
cp -L "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" etc/ssl/certs/ca-certificates.crt

# A Docker archive: one layer, a config that says which platform it is for (docker import cannot) and a manifest.
env='"PATH=/usr/bin:/bin","PIP_CERT=/etc/ssl/certs/ca-certificates.crt"'
for variable in PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST PIP_DEFAULT_TIMEOUT; do # how this machine reaches an index
  [ -z "${!variable:-}" ] || env+=",\"$variable=${!variable}\""
done
mkdir "$work/image"
tar -cf "$work/image/layer.tar" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner .
cd "$work/image"
printf '{"architecture":"%s","os":"linux","created":"1970-01-01T00:00:00Z","config":{"Env":[%s],"Labels":{"stand-in":"debian"}},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},"history":[{"created":"1970-01-01T00:00:00Z","created_by":"stand-in"}]}' \
  "$debian" "$env" "$(sha256sum layer.tar | cut -d' ' -f1)" >config.json
printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$name" >manifest.json
tar -c config.json layer.tar manifest.json | docker load -q >/dev/null
echo "base-image: made a stand-in for $name ($(docker image inspect --format '{{.Os}}/{{.Architecture}}, {{.Size}} bytes' "$name"))" >&2
