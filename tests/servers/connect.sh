#!/bin/sh
# Print the folder of Kafka Connect (libs) with Debezium's Postgres connector (plugins), fetching them if need be.
# usage: connect.sh 3.9.1 3.3.1.Final
set -eu
here=$(cd "$(dirname "$0")" && pwd)
kafka=${1:?usage: connect.sh KAFKA DEBEZIUM}
debezium=${2:?usage: connect.sh KAFKA DEBEZIUM}

cache=$("$here/cache.sh")
home=$cache/connect-$kafka-$debezium
if [ ! -d "$home" ]; then
	(
		flock 9
		[ ! -d "$home" ] || exit 0
		"$here/apt.sh" openjdk-17-jre-headless maven >&2
		if [ ! -w "${HOME:-/nowhere}" ]; then
			export HOME=/var/tmp
		fi
		rm -rf "$home.new"
		mkdir -p "$home.new/plugins"
		mvn -f "$here/connect-pom.xml" -q -B -ntp -Dkafka.version="$kafka" \
			dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$home.new/libs" >&2
		"$here/maven.sh" "io.debezium:debezium-connector-postgres:$debezium:tar.gz:plugin" "$home.new"
		tar -xzf "$home.new/debezium-connector-postgres-$debezium-plugin.tar.gz" -C "$home.new/plugins"
		rm "$home.new"/*.tar.gz
		chmod -R a+rX "$home.new"
		mv "$home.new" "$home"
	) 9>"$home.lock"
fi
echo "$home"
