#!/bin/sh
# Builds every fuzz target of this folder and runs each for FUZZ_SECONDS (600).
#
# usage: run.sh [NAME]...	NAME of tests/fuzz/fuzz_NAME.c; all without one
#
# Targets run side by side, one a core.  What they find that is new joins tests/fuzz/corpus/NAME, which
# is kept minimal but for the seeds.  An input that crashes is left in build/fuzz/NAME-crash-*; run.sh ends with 1.
set -eu
cd "$(dirname "$0")/../.."
seconds=${FUZZ_SECONDS:-600}
cores=${FUZZ_JOBS:-$(nproc)}
build=${FUZZ_BUILD:-build/fuzz}
libs="libpq libmariadb libzstd zlib jansson avro-c sqlite3 libmicrohttpd libsystemd libcrypto rdkafka"

command -v clang >/dev/null || { echo "run.sh: clang is missing: apt-get install clang" >&2; exit 1; }
make -s -j"$cores" BUILD="$build" CC=clang \
	CFLAGS='-O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -U_FORTIFY_SOURCE' \
	"$build/libtailrace.a"

targets=
for source in tests/fuzz/fuzz_*.c; do
	[ -e "$source" ] || { echo "run.sh: no tests/fuzz/fuzz_*.c" >&2; exit 1; }
	name=$(basename "$source" .c)
	name=${name#fuzz_}
	if [ $# -gt 0 ]; then
		case " $* " in *" $name "*) ;; *) continue ;; esac
	fi
	# shellcheck disable=SC2046,SC2086 # pkg-config prints words
	clang -std=gnu11 -D_GNU_SOURCE -Iinclude -Iagent -Isources -Isinks -O1 -g -fno-omit-frame-pointer -pthread \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
		$(pkg-config --cflags $libs) -o "$build/$name" "$source" "$build/libtailrace.a" \
		$(pkg-config --libs $libs) -lm
	targets="$targets $name"
done
[ -n "$targets" ] || { echo "run.sh: no such target: $*" >&2; exit 1; }

fuzz() {
	name=$1
	corpus=tests/fuzz/corpus/$name
	work=$build/$name.work
	log=$build/$name.log
	rm -rf "$work" "$work.min" "$build/$name.result"
	mkdir -p "$corpus" "$work" "$work.min"
	set -- -timeout=20 -rss_limit_mb=4096
	[ ! -e "tests/fuzz/$name.dict" ] || set -- "$@" "-dict=tests/fuzz/$name.dict"
	if ! "$build/$name" "$@" -max_total_time="$seconds" -print_final_stats=1 \
		-artifact_prefix="$build/$name-" "$work" "$corpus" >"$log" 2>&1; then
		echo "$name: FAILED, see $log"
		grep -E 'ERROR|SUMMARY|runtime error|Test unit written' "$log" || true
		return 1
	fi
	# Inputs with names of their own were written by hand: they stay, the rest is what they lack.
	find "$corpus" -type f | grep -Ev '/[0-9a-f]{40}$' | while read -r seed; do cp "$seed" "$work.min"; done
	"$build/$name" -merge=1 "$work.min" "$corpus" "$work" >>"$log" 2>&1
	rm -rf "$corpus"
	mv "$work.min" "$corpus"
	rm -rf "$work"
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | head -1)
	echo "$name: ok, $seconds s, $runs inputs, corpus of $(find "$corpus" -type f | wc -l)" | tee "$build/$name.result"
}

# The last result of each target, with date and machine.
keep() {
	result=tests/results/fuzz-$1.txt
	mkdir -p tests/results
	{
		date -u '+%Y-%m-%dT%H:%M:%SZ'
		echo "$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -1), $(nproc) cores, kernel $(uname -r)"
		cat "$build/$1.result"
	} >"$result"
}

failed=0
pids=
running=0
for name in $targets; do
	if [ "$running" -ge "$cores" ]; then
		# shellcheck disable=SC2086
		set -- $pids
		wait "$1" || failed=$((failed + 1))
		shift
		pids="$*"
		running=$((running - 1))
	fi
	fuzz "$name" &
	pids="$pids $!"
	running=$((running + 1))
done
for pid in $pids; do
	wait "$pid" || failed=$((failed + 1))
done
for name in $targets; do
	[ ! -e "$build/$name.result" ] || keep "$name"
done
[ "$failed" = 0 ] || { echo "$failed targets failed"; exit 1; }
