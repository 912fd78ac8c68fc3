#!/bin/sh
# Install Debian packages, only those that are missing.  usage: apt.sh PACKAGE...
# Works as root or through sudo, without a terminal and without systemd (a bare chroot).
set -eu

look() {
	missing=
	for p in "$@"; do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q '^install ok installed' || missing="$missing $p"
	done
	[ -n "$missing" ] || exit 0
}
look "$@"

# Tests that run side by side may each need something; apt itself does not wait for its turn.
exec 9>"$("$(dirname "$0")/cache.sh")/apt.lock"
flock 9
look "$@"

if [ "$(id -u)" = 0 ]; then
	root=
elif command -v sudo >/dev/null 2>&1; then
	root=sudo
else
	echo "apt.sh: missing packages:$missing; run as root, or install sudo" >&2
	exit 1
fi
echo "installing:$missing"

get() {
	# shellcheck disable=SC2086
	$root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends \
		-o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold -o Acquire::Retries=3 "$@"
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
run() {
	get "$@" >"$log" 2>&1 </dev/null 9>&- || { tail -n 40 "$log" >&2; exit 1; }
}

run update
case " $missing " in *" postgresql-"*)
	# Debian makes and starts a cluster with the server package.  The tests make their own; a
	# machine that has postgresql-common already keeps its setting.
	if ! dpkg-query -W -f '${Status}' postgresql-common 2>/dev/null | grep -q '^install ok installed'; then
		run install postgresql-common
		$root sed -i 's/^#\{0,1\}create_main_cluster.*/create_main_cluster = false/' \
			/etc/postgresql-common/createcluster.conf
	fi;;
esac
# shellcheck disable=SC2086
run install $missing
