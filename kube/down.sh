#!/usr/bin/env bash
# Ends the servers that up.sh started in DIR, and nothing else; DIR stays.
#
#   kube/down.sh [--now] DIR
#
# With --now they get no time to finish, which is right for a DIR that is deleted next.
set -euo pipefail

signals=(TERM KILL)
if [[ ${1-} == --now ]]; then
  signals=(KILL)
  shift
fi
cd "${1:?usage: kube/down.sh [--now] DIR}"
dir=$(pwd -P)

# Process ids are used again; a server of ours is recognised by the folder in which it works.
is_ours() { [[ $(readlink "/proc/$1/cwd") == "$dir" ]]; }

# ends_within SECONDS PID
ends_within() {
  local tenths=$(($1 * 10))
  while is_ours "$2"; do
    ((tenths-- > 0)) || return 1
    sleep 0.1
  done
}

# From the outside to the inside, so that none logs a page about the one below being gone.
for name in kwok kube-scheduler kube-controller-manager kube-apiserver etcd; do
  [[ -e $name.pid ]] || continue
  pid=$(<"$name.pid")
  for signal in "${signals[@]}"; do
    is_ours "$pid" || break
    kill -s "$signal" "$pid" || true
    # An API server would wait a minute for its open watches. Its state is in etcd: force loses nothing.
    if ends_within 2 "$pid"; then break; fi
  done
  rm "$name.pid"
done
