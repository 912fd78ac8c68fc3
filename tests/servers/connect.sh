#!/bin/sh
# Print the folder of Kafka Connect (libs) with Debezium's connectors (plugins), fetching them if need be.
# usage: connect.sh 3.9.1 3.3.1.Final
set -eu
here=$(cd "$(dirname "$0")" && pwd)
kafka=${1:?usage: connect.sh KAFKA DEBEZIUM}
debezium=${2:?usage: connect.sh KAFKA DEBEZIUM}

cache=$("$here/cache.sh")
home=$cache/connect-$kafka-$debezium
(
	flock 9
	if [ ! -w "${HOME:-/nowhere}" ]; then
		export HOME=/var/tmp
	fi
	if [ ! -d "$home" ]; then
		"$here/apt.sh" openjdk-17-jre-headless maven >&2
		rm -rf "$home.new"
		mkdir -p "$home.new/plugins"
		mvn -f "$here/connect-pom.xml" -q -B -ntp -Dkafka.version="$kafka" \
			dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$home.new/libs" >&2
		mv "$home.new" "$home"
	fi
	for connector in postgres mysql; do
		[ ! -d "$home/plugins/debezium-connector-$connector" ] || continue
		fetched=$(mktemp -d)
		"$here/maven.sh" "io.debezium:debezium-connector-$connector:$debezium:tar.gz:plugin" "$fetched"
		tar -xzf "$fetched/debezium-connector-$connector-$debezium-plugin.tar.gz" -C "$fetched"
		mv "$fetched/debezium-connector-$connector" "$home/plugins/"
		rm -r "$fetched"
	done
	chmod -R a+rX "$home"
) 9>"$home.lock"
echo "$home"
