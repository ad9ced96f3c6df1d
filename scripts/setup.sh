#!/usr/bin/env bash
# Installs what rsm needs and this machine lacks: redis-server and
# redis-sentinel (through apt) and the Go modules. What is there is left alone.
#
#   setup.sh           what running rsm needs
#   setup.sh race      and what the tests need: a C compiler for Go's race
#                      detector, the client programs that talk to the proxy, and
#                      git, gpg, an sshd and a mail server (exim4), which the
#                      tests start themselves
#   setup.sh ansible   and ansible-core and redis-cli, for the benchmark
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

policy=/usr/sbin/policy-rc.d
made_policy=

fail() {
	echo "setup: $*" >&2
	exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# as_root runs a command as root. Without a terminal it must not ask for a
# password, because nobody would answer.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif [ -t 0 ]; then
		sudo "$@"
	else
		sudo -n "$@"
	fi
}

check_go() {
	local want
	want=$(awk '$1 == "go" { print $2 }' go.mod)
	has go || fail "Go is missing: install Go ${want%.*} or newer from https://go.dev/dl/"
	# Go 1.21 and later fetch the version that go.mod asks for, unless
	# GOTOOLCHAIN forbids it; older ones do not even read it.
	local have
	have=$(go env GOVERSION 2>/dev/null) || have=
	if [ "$(printf '%s\n' "go$want" "${have:-go0}" | sort -V | head -n1)" != "go$want" ]; then
		fail "$(go version 2>/dev/null | awk '{ print $3 }') is too old: install Go ${want%.*} or newer from https://go.dev/dl/"
	fi
}

# forbid_starts makes apt install the servers without starting them: rsm starts
# its own. A policy that somebody else has set stays.
forbid_starts() {
	[ -e "$policy" ] && return
	as_root sh -c "set -C; printf '#!/bin/sh\nexit 101\n' >$policy" || return 0
	made_policy=yes
	as_root chmod 755 "$policy"
}

allow_starts() {
	if [ "$made_policy" ]; then
		made_policy=
		as_root rm -f "$policy"
	fi
}

# retire_unit stops the service that a freshly installed package brought along
# and keeps it from starting with the machine.
retire_unit() {
	if [ -d /run/systemd/system ]; then
		as_root systemctl disable --now "$1" >/dev/null 2>&1 || true
		return
	fi
	if has update-rc.d; then
		as_root update-rc.d "$1" disable >/dev/null 2>&1 || true
	fi
	if [ -x "/etc/init.d/$1" ]; then
		as_root "/etc/init.d/$1" stop >/dev/null 2>&1 || true
	fi
}

install_packages() {
	local by_hand="apt-get install $*"
	has apt-get || fail "missing here: $*; install them with this system's package manager, then run this again"
	[ "$(id -u)" = 0 ] || has sudo || fail "not root, and no sudo: run as root: $by_hand"

	# Only units that were not there before may be touched afterwards.
	local fresh=() name unit
	for name in "$@"; do
		case $name in
		redis-*) unit=$name ;;
		openssh-server) unit=ssh ;;
		exim4-*) unit=exim4 ;;
		*) continue ;;
		esac
		[ -e "/etc/init.d/$unit" ] || [ -e "/lib/systemd/system/$unit.service" ] || fresh+=("$unit")
	done

	echo "setup: installing $*" >&2
	trap allow_starts EXIT
	forbid_starts
	apt_get update || echo "setup: apt-get update had errors, trying the lists that are there" >&2
	apt_get install -y --no-install-recommends "$@" || fail "could not install; run as root: $by_hand"
	for name in "${fresh[@]+"${fresh[@]}"}"; do
		retire_unit "$name"
	done
	allow_starts
}

apt_get() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 "$@" </dev/null >&2
}

# install_ioredis puts the client library for Node.js where the tests look for
# it, outside the tree.
install_ioredis() {
	local version=5.9.2 dir=${XDG_CACHE_HOME:-$HOME/.cache}/rsm-test/ioredis
	if grep -qs "\"version\": *\"$version\"" "$dir/node_modules/ioredis/package.json"; then
		return
	fi
	echo "setup: installing ioredis $version" >&2
	mkdir -p "$dir"
	npm install --prefix "$dir" --no-save --no-audit --no-fund --ignore-scripts --loglevel=error "ioredis@$version" </dev/null >&2 ||
		fail "could not install ioredis: check the network, or npm's registry ($(npm config get registry))"
}

check_go
missing=() extra=${1:-}
has redis-server || missing+=(redis-server)
has redis-sentinel || missing+=(redis-sentinel)
if [ "$extra" = race ]; then
	echo '#include <stdlib.h>' | "$(go env CC)" -E - >/dev/null 2>&1 || missing+=(gcc libc6-dev)
	has redis-cli && has redis-benchmark || missing+=(redis-tools)
	# apt installs modules for the system's Python, whichever comes first on PATH.
	/usr/bin/python3 -c 'import redis' >/dev/null 2>&1 || missing+=(python3-redis)
	has node || missing+=(nodejs)
	has npm || missing+=(npm)
	has git || missing+=(git)
	has gpg && has gpg-agent || missing+=(gnupg)
	has sshd || [ -x /usr/sbin/sshd ] || missing+=(openssh-server)
	has ssh-keygen || missing+=(openssh-client)
	if [ ! -x /usr/sbin/exim4 ]; then
		# Debian has one mail server at a time: it would throw out another.
		[ ! -x /usr/sbin/sendmail ] || fail "the tests need exim4, but another mail server is installed ($(readlink -f /usr/sbin/sendmail)); exim4-daemon-light would replace it: install it by hand if that is fine"
		missing+=(exim4-daemon-light)
	fi
fi
if [ "$extra" = ansible ]; then
	has ansible-playbook || missing+=(ansible-core)
	has redis-cli || missing+=(redis-tools)
fi
if [ ${#missing[@]} -gt 0 ]; then
	install_packages "${missing[@]}"
fi
if [ "$extra" = race ]; then
	install_ioredis
fi
go mod download || fail "could not download the Go modules: check the network, or GOPROXY ($(go env GOPROXY))"
