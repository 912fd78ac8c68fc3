#!/bin/sh
# Fetch one jar from Maven Central.  usage: maven.sh GROUP:ARTIFACT:VERSION FOLDER
set -eu
here=$(cd "$(dirname "$0")" && pwd)
"$here/apt.sh" openjdk-17-jre-headless maven >&2
if [ ! -w "${HOME:-/nowhere}" ]; then
	export HOME=/var/tmp
fi
mvn -f "$here/pom.xml" -q -B -ntp dependency:copy -Dartifact="$1" -DoutputDirectory="$2" \
	-Dmdep.useBaseVersion=true >&2
