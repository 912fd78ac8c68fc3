#!/bin/sh
# Print the folder of one Kafka version's jars, fetching them if need be.
# usage: kafka.sh 3.9.1 | 4.3.1
set -eu
here=$(cd "$(dirname "$0")" && pwd)
version=${1:?usage: kafka.sh VERSION}

cache=$("$here/cache.sh")
home=$cache/kafka-$version
if [ ! -d "$home" ]; then
	(
		flock 9
		[ ! -d "$home" ] || exit 0
		"$here/apt.sh" openjdk-17-jre-headless maven >&2
		if [ ! -w "${HOME:-/nowhere}" ]; then
			export HOME=/var/tmp
		fi
		rm -rf "$home.new"
		mkdir "$home.new"
		mvn -f "$here/kafka-pom.xml" -q -B -ntp -Dkafka.version="$version" \
			dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$home.new" >&2
		chmod -R a+rX "$home.new"
		mv "$home.new" "$home"
	) 9>"$home.lock"
fi
echo "$home"
