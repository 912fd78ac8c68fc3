#!/bin/sh
# Unpack packages of another Debian suite, with all they depend on (their own libc too), into a
# folder.  This machine's own package state is neither read nor changed.
# usage: debian.sh SUITE FOLDER PACKAGE...
# What is in there runs through its own loader: see wrap.sh.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
suite=${1:?usage: debian.sh SUITE FOLDER PACKAGE...} folder=$2
shift 2

mirror=$(find /etc/apt \( -name '*.list' -o -name '*.sources' \) -print0 | xargs -0 cat | grep -v '^#' |
	sed -nE 's#.*(https?://[^ ]*/debian)/?( .*|$)#\1#p' | head -n 1)
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e "$keys" ] || "$here/apt.sh" debian-archive-keyring >&2

own=$(mktemp -d "$("$here/cache.sh")/apt-$suite-XXXXXX")
trap 'rm -rf "$own"' EXIT
mkdir -p "$own/lists/partial" "$own/archives/partial"
: >"$own/status"
echo "deb [signed-by=$keys] ${mirror:-http://deb.debian.org/debian} $suite main" >"$own/sources.list"

get() {
	apt-get -q -y --no-install-recommends \
		-o Dir::Etc::sourcelist="$own/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
		-o Dir::State="$own" -o Dir::State::lists="$own/lists" -o Dir::State::status="$own/status" \
		-o Dir::Cache="$own" -o Dir::Cache::archives="$own/archives" \
		-o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none -o Acquire::Retries=3 \
		-o Debug::NoLocking=true "$@" >"$own/log" 2>&1 </dev/null || {
		tail -n 30 "$own/log" >&2
		exit 1
	}
}

get update
get --download-only install "$@"
rm -rf "$folder"
mkdir -p "$folder"
for d in "$own"/archives/*.deb; do
	dpkg-deb -x "$d" "$folder"
done
chmod -R a+rX "$folder"
