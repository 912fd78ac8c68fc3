#!/bin/sh
# Print the folder that keeps downloaded servers.  The servers run as another user than root, so
# root's own cache folder, which others cannot enter, would not do.
set -eu
if [ -n "${TAILRACE_TEST_CACHE:-}" ]; then
	dir=$TAILRACE_TEST_CACHE
elif [ "$(id -u)" = 0 ]; then
	dir=/var/cache/tailrace-tests
else
	dir=${XDG_CACHE_HOME:-$HOME/.cache}/tailrace-tests
fi
mkdir -p "$dir"
echo "$dir"
