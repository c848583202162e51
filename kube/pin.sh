#!/usr/bin/env bash
# Moves go.mod and go.sum to another Kubernetes release: kube/pin.sh v1.36.3
#
# kwok's release is the one in kwok/go.mod: "go get -C kube/kwok sigs.k8s.io/kwok@..." moves it.
set -euo pipefail
version=${1:?usage: kube/pin.sh v1.MINOR.PATCH}
cd "$(dirname "${BASH_SOURCE[0]}")"
export GOWORK=off GOTOOLCHAIN=auto

upstream=$(go mod download -json "k8s.io/kubernetes@$version" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
go_line=$(grep '^go ' "$upstream")
etcd=$(sed -n 's/^\tgo\.etcd\.io\/etcd\/server\/v3 \([^ ]*\).*/\1/p' "$upstream")
# Upstream replaces its staging modules by folders of its own tree, which a module that depends on it
# does not see: each is published under the same number as v0.
staging=$(sed -n "s/^\t\(k8s\.io\/[^ ]*\) => \.\/staging\/.*/\t\1 => \1 v0.${version#v1.}/p" "$upstream")

cat >go.mod <<MOD
// Written by pin.sh. No Go code is here: this pins the test servers that build.sh compiles.
module maestro/kube

$go_line

tool (
	go.etcd.io/etcd/server/v3
	k8s.io/kubernetes/cmd/kube-apiserver
	k8s.io/kubernetes/cmd/kube-controller-manager
	k8s.io/kubernetes/cmd/kube-scheduler
	k8s.io/kubernetes/cmd/kubectl
)

require (
	go.etcd.io/etcd/server/v3 $etcd
	k8s.io/kubernetes $version
)

replace (
$staging
)
MOD
rm -f go.sum
go mod tidy
