#!/bin/sh
# Print the path of Apache Avro's tools for Java, fetching them if need be.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
version=1.12.0
dir=$("$here/cache.sh")/jars
jar=$dir/avro-tools-$version.jar
if [ ! -s "$jar" ]; then
	"$here/maven.sh" org.apache.avro:avro-tools:$version "$dir"
fi
echo "$jar"
