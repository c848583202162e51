#!/usr/bin/env bash
# Compiles the Kubernetes test servers from Go modules into the cache, once, and prints their folder.
#
#   kube/build.sh           builds if need be
#   kube/build.sh --print   builds nothing; exit code 3 if the folder is not there yet
set -euo pipefail

print_only=
case "${1-}" in
  '') ;;
  --print) print_only=1 ;;
  *) echo "usage: kube/build.sh [--print]" >&2 && exit 2 ;;
esac

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/maestro/kube
version=$(sed -n 's/^\tk8s\.io\/kubernetes \(v[^ ]*\).*/\1/p' "$here/go.mod")
hash=$(cd "$here" && cat go.mod go.sum kwok/go.mod kwok/go.sum build.sh | sha256sum | cut -c 1-12)
folder=$cache/$version-$hash

# The folder gets its name only when everything is in it, so that it is either complete or not there.
if [[ -d $folder ]]; then
  echo "$folder"
  exit
fi
if [[ $print_only ]]; then
  echo "The Kubernetes test servers are not built yet: kube/build.sh builds $folder" >&2
  exit 3
fi

# Go is often unpacked here without being on the PATH of a script.
command -v go >/dev/null || PATH=$PATH:/usr/local/go/bin
if ! command -v go >/dev/null; then
  echo "Cannot build the Kubernetes test servers: Go is missing; install Go 1.21 or newer" \
    "(apt-get install golang-go, or https://go.dev/dl)" >&2
  exit 1
fi

mkdir -p "$cache"
exec 9>"$cache/.lock"
flock 9 # Of several test runs that start at once one builds, and the others wait for it.
if [[ -d $folder ]]; then
  echo "$folder"
  exit
fi

partial=$cache/.partial
rm -rf "$partial"
mkdir "$partial"
echo "building Kubernetes $version into $folder; from nothing it takes ten minutes on two cores" >&2

# The caller's Go settings are for the caller's modules: a workspace or -mod=vendor would break these.
export GOWORK=off GOFLAGS=-mod=readonly GOTOOLCHAIN=auto CGO_ENABLED=0

# compile MODULE LDFLAGS: every tool that the module's go.mod names
compile() { go build -C "$here/$1" -trimpath -ldflags "-s -w $2" -o "$partial/" tool >&2; }

# Without these the API server says that it is v0.0.0, and clients that look at the version refuse it.
IFS=. read -r major minor _ <<<"${version#v}"
stamps=
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  for stamp in "gitVersion=$version" "gitMajor=$major" "gitMinor=$minor"; do
    stamps+=" -X $package.$stamp"
  done
done
compile . "$stamps"
mv "$partial/server" "$partial/etcd" # Go names an executable after the end of its import path.

compile kwok ''
stages=$(go list -C "$here/kwok" -m -f '{{.Dir}}' sigs.k8s.io/kwok)/kustomize/stage
mkdir "$partial/stages"
for stage in node/fast node/heartbeat-with-lease pod/fast; do
  for file in "$stages/$stage"/*.yaml; do
    [[ ${file##*/} == kustomization.yaml ]] || install -m 644 "$file" "$partial/stages/"
  done
done

mv "$partial" "$folder"
echo "$folder"
