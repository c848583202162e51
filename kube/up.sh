#!/usr/bin/env bash
# Starts a Kubernetes API server on 127.0.0.1, with an etcd of its own, and returns when it is ready.
#
#   kube/up.sh [--controllers | --pods] [--hold] DIR PORT [kube-apiserver flag...]
#
# --controllers  adds the controllers of Deployments, Jobs, namespaces, garbage collection and others
# --pods         adds a scheduler too, and a node where kwok plays the kubelet: pods run, jobs complete
# --hold         does not return: stays until its standard input ends, then ends the servers as well
#
# DIR gets data, logs, certificates and kubeconfig files. The same DIR again means the same data.
set -euo pipefail
usage='usage: kube/up.sh [--controllers | --pods] [--hold] DIR PORT [kube-apiserver flag...]'

parts=api hold=
while [[ ${1-} == --* ]]; do
  case $1 in
    --controllers) parts=controllers ;;
    --pods) parts=pods ;;
    --hold) hold=1 ;;
    *) echo "$usage" >&2 && exit 2 ;;
  esac
  shift
done
(($# >= 2)) || { echo "$usage" >&2 && exit 2; }
mkdir -p "$1"
dir=$(cd "$1" && pwd -P)
port=$2
url=https://127.0.0.1:$port
shift 2

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
servers=$("$here/build.sh")
begin_ms=$(date +%s%3N)
umask 077
cd "$dir" # The socket of etcd may have a name of 108 bytes at most; a relative one is short.

for file in *.pid; do
  [[ -e $file && $(readlink "/proc/$(<"$file")/cwd") == "$dir" ]] || continue
  echo "Cannot start in \"$dir\": ${file%.pid} runs there already" >&2
  exit 1
done

# Whatever stops this script before the servers are ready stops them, too.
trap '"$here/down.sh" --now "$dir"' EXIT
trap 'exit 130' INT TERM

# --- Certificates and tokens, once per DIR ---

new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key" 2>/dev/null; }

# new_certificate NAME SUBJECT EXTENSION...: signed by the CA
new_certificate() {
  new_key "$1"
  openssl req -new -key "$1.key" -subj "$2" |
    openssl x509 -req -CA ca.crt -CAkey ca.key -days 3650 -out "$1.crt" 2>/dev/null \
      -extfile <(printf '%s\n' "${@:3}")
}

make_credentials() {
  new_key ca
  openssl req -x509 -new -key ca.key -subj /CN=maestro-test-ca -days 3650 -out ca.crt
  new_certificate server /CN=kube-apiserver extendedKeyUsage=serverAuth \
    subjectAltName=IP:127.0.0.1,IP:10.0.0.1,DNS:localhost,DNS:kubernetes.default.svc
  new_certificate admin /O=system:masters/CN=admin extendedKeyUsage=clientAuth
  new_key service-account
  openssl pkey -in service-account.key -pubout -out service-account.pub
  local name
  for name in admin limited; do openssl rand -hex 24 >"$name.token"; done
  # The fourth column is the groups.
  printf '%s,%s,%s,"%s"\n' "$(<admin.token)" admin admin system:masters \
    "$(<limited.token)" limited limited limited >tokens.csv
}

# kubeconfig FILE USER CREDENTIAL...: each credential a line of YAML
kubeconfig() {
  {
    echo 'apiVersion: v1'
    echo 'kind: Config'
    echo 'current-context: test'
    echo "contexts: [{ name: test, context: { cluster: test, user: $2 } }]"
    echo 'clusters:'
    echo '  - name: test'
    echo '    cluster:'
    echo "      server: $url"
    echo "      certificate-authority-data: $(base64 -w 0 ca.crt)"
    echo 'users:'
    echo "  - name: $2"
    echo '    user:'
    printf '      %s\n' "${@:3}"
  } >"$1"
}

if [[ ! -e tokens.csv ]]; then make_credentials; fi
kubeconfig kubeconfig admin "token: $(<admin.token)"
kubeconfig kubeconfig-limited limited "token: $(<limited.token)"
kubeconfig kubeconfig-cert admin "client-certificate-data: $(base64 -w 0 admin.crt)" \
  "client-key-data: $(base64 -w 0 admin.key)"

# --- Servers ---

# Whoever holds the servers wants them gone even when this script is killed.
with_us=()
if [[ $hold ]]; then with_us=(setpriv --pdeathsig KILL); fi

# serve NAME FLAG...
serve() {
  "${with_us[@]}" "$servers/$1" "${@:2}" </dev/null >"$1.log" 2>&1 &
  echo $! >"$1.pid"
  disown # Their end is for down.sh to report.
}

fail() { # NAME REASON
  echo "Cannot start Kubernetes in \"$dir\": $2; the end of $1.log:" >&2
  tail -n 15 "$1.log" >&2
  exit 1
}

answers() { # PATH
  curl --fail --silent --noproxy '*' --max-time 2 --output /dev/null --cacert ca.crt \
    --header @<(echo "Authorization: Bearer $(<admin.token)") "$url$1"
}

await() { # PATH NAME: until the API server answers, unless a server ends or two minutes are over
  local file
  until answers "$1"; do
    for file in *.pid; do
      kill -0 "$(<"$file")" 2>/dev/null || fail "${file%.pid}" "${file%.pid} ended"
    done
    (($(date +%s%3N) - begin_ms < 120000)) || fail "$2" "no answer from $1 in two minutes"
    sleep 0.1
  done
}

# Only the API server has a port, so clusters cannot collide on any other. The advertised address must look
# like one, but nobody calls a lone member. Without fsync a crash of the machine would cost the data.
rm -f etcd.sock etcd-peer.sock
serve etcd --data-dir etcd --unsafe-no-fsync --log-level warn \
  --listen-client-urls unix://etcd.sock --advertise-client-urls http://127.0.0.1:2379 \
  --listen-peer-urls unix://etcd-peer.sock

api=(
  --etcd-servers unix://etcd.sock
  --bind-address 127.0.0.1 --advertise-address 127.0.0.1 --secure-port "$port"
  --endpoint-reconciler-type none --service-cluster-ip-range 10.0.0.0/24
  --tls-cert-file server.crt --tls-private-key-file server.key
  --client-ca-file ca.crt --token-auth-file tokens.csv --authorization-mode RBAC
  --service-account-issuer https://kubernetes.default.svc
  --service-account-key-file service-account.pub
  --service-account-signing-key-file service-account.key
  --allow-privileged --profiling=false
)
# Without its controller no namespace has a service account, and every pod would be refused.
if [[ $parts == api ]]; then api+=(--disable-admission-plugins ServiceAccount); fi
serve kube-apiserver "${api[@]}" "$@"
await /readyz kube-apiserver

client=(--kubeconfig kubeconfig --leader-elect=false --secure-port 0 --profiling=false)
if [[ $parts != api ]]; then
  controllers=namespace,garbage-collector,serviceaccount,root-ca-certificate-publisher,deployment
  controllers+=,replicaset,statefulset,daemonset,job,cronjob,clusterrole-aggregation
  # It takes the mark "not ready" from the node.
  if [[ $parts == pods ]]; then controllers+=,node-lifecycle; fi
  serve kube-controller-manager "${client[@]}" --controllers "${controllers//,/-controller,}-controller" \
    --service-account-private-key-file service-account.key --root-ca-file ca.crt \
    --kube-api-qps 200 --kube-api-burst 400
  # With its port closed it cannot say that it is ready; this is among the first things that it makes.
  await /api/v1/namespaces/default/serviceaccounts/default kube-controller-manager
fi

if [[ $parts == pods ]]; then
  stages=()
  for file in "$servers"/stages/*.yaml; do stages+=(--config "$file"); done
  serve kube-scheduler "${client[@]}"
  serve kwok --kubeconfig kubeconfig --manage-all-nodes --node-lease-duration-seconds 40 "${stages[@]}"
  kubectl=("$servers/kubectl" --kubeconfig kubeconfig)
  room='{ cpu: "64", memory: 256Gi, pods: "10000" }'
  "${kubectl[@]}" apply -f - >/dev/null <<YAML
apiVersion: v1
kind: Node
metadata: { name: kwok }
status: { allocatable: $room, capacity: $room }
YAML
  "${kubectl[@]}" wait --for condition=Ready node/kwok --timeout 60s >/dev/null ||
    fail kwok 'its node is not ready'
fi

echo "ready in $(($(date +%s%3N) - begin_ms)) ms: export KUBECONFIG=$dir/kubeconfig"
if [[ $hold ]]; then
  # In the background, since bash runs a trap only between two commands.
  cat <&0 >/dev/null &
  wait $! || true
else
  trap - EXIT
fi
