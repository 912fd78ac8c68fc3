#!/bin/sh
# Where the agent's time goes in one catch-up into files.
#
# usage: profile.sh [stat|record] [bench options]	default: record, --only files --times 1
#
# Leaves perf's own report in build/profile.txt.  Without perf, or where the kernel forbids it, the bench
# still prints CPU time per change.
set -eu
cd "$(dirname "$0")/../.."
mode=record
case "${1:-}" in stat | record) mode=$1; shift ;; esac
[ $# -gt 0 ] || set -- --only files --times 1
python=${PYTHON:-python3}
program=${TAILRACE:-build/tailrace}
program=$(cd "$(dirname "$program")" && pwd)/$(basename "$program")
wrapper=$(mktemp -d)
trap 'rm -rf "$wrapper"' EXIT

if ! perf stat -e task-clock true >/dev/null 2>&1; then
	echo "profile.sh: perf does not work here; CPU time only" >&2
	exec "$python" tests/bench/run.py --no-save --program "$program" "$@"
fi
if [ "$mode" = stat ]; then
	perf="perf stat -d -o $PWD/build/profile.txt"
else
	perf="perf record -q -g --call-graph dwarf,16384 -F 199 -o $wrapper/data"
fi
# Only the agent itself runs under perf, not its other commands.
cat >"$wrapper/tailrace" <<SH
#!/bin/sh
case "\$1" in run) exec $perf -- "$program" "\$@" ;; esac
exec "$program" "\$@"
SH
chmod +x "$wrapper/tailrace"
mkdir -p build
"$python" tests/bench/run.py --no-save --program "$wrapper/tailrace" "$@" || echo "(perf slows the run)"
if [ "$mode" = record ]; then
	for keys in comm,dso comm,dso,symbol; do
		perf report -i "$wrapper/data" --no-children -g none --stdio --sort "$keys" 2>/dev/null
	done | grep -Ev '^(#|$)' >build/profile.txt
fi
sed -n 1,80p build/profile.txt
