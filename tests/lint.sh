#!/bin/bash
# make lint: formatting, static analysis, sizes, banned functions.  Everything is run; any finding fails.
set -u
cd "$(dirname "$0")/.." || exit 1
tests/servers/apt.sh clang clang-format clang-tidy cppcheck shellcheck libcmocka-dev || exit 1

failed=0
step() {
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then
		echo "lint: $name ok"
	else
		printf '%s\nlint: %s FAILED\n' "$out" "$name"
		failed=1
	fi
}

mapfile -t sources < <(git ls-files 'agent/*.c' 'sources/*.c' 'sinks/*.c')
mapfile -t all_c < <(git ls-files '*.c')
mapfile -t all_h < <(git ls-files '*.h')
mapfile -t scripts < <(git ls-files '*.sh' .ci/run)
mapfile -t own < <(git ls-files '*.c' '*.h' ':!tests/unit/fixtures' ':!tests/unit/*_vectors.h')	# not what was recorded
flags=(-std=gnu11 -D_GNU_SOURCE -DFAILPOINTS '-DTAILRACE_VERSION="lint"' -Iinclude -Iagent -Isources -Isinks -Itests/unit)
read -ra packages < <(pkg-config --cflags libpq libmariadb libzstd zlib jansson avro-c sqlite3 libmicrohttpd libsystemd libcrypto rdkafka)

formatting() { clang-format --dry-run -Werror "${all_c[@]}"; }

# One clang-tidy a file, two at a time.  Its count of suppressed warnings goes to stderr: left out.
tidy() {
	printf '%s\n' "${sources[@]}" |
		xargs -P 2 -I{} clang-tidy --quiet --warnings-as-errors='*' {} -- "${flags[@]}" "${packages[@]}" 2>/dev/null
}

cpp_check() {
	cppcheck --quiet -j 2 --error-exitcode=1 --enable=warning,performance,portability --inline-suppr \
		--suppressions-list=tests/cppcheck.txt --std=c11 -D_GNU_SOURCE -D__linux__ \
		-Iinclude -Iagent -Isources -Isinks "${sources[@]}"
}

shell() { shellcheck -S warning "${scripts[@]}"; }

# Functions of at most 90 lines (they begin and end with a brace in column 1), files of at most 900.
sizes() {
	awk 'FNR == 1 { start = 0 }
	     /^\{/ { start = FNR }
	     /^\}/ { if (start && FNR - start > 90) { print FILENAME ":" start ": a function of " FNR - start " lines (at most 90)"; bad = 1 } start = 0 }
	     FNR == 901 { print FILENAME ": more than 900 lines"; bad = 1 }
	     END { exit bad }' "${own[@]}"
}

# What has no bound, hides its errors or keeps state.
banned() {
	! grep -nE '(^|[^_[:alnum:]])(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|atof|alloca|setjmp|longjmp|tmpnam|mktemp)[[:space:]]*\(' \
		"${all_c[@]}" "${all_h[@]}" &&
		! grep -nE '(^|[^_[:alnum:]])(system|popen)[[:space:]]*\(' "${sources[@]}"
}

# Nothing half-finished, no machine's paths.
leftovers() {
	! git grep -nIE '\b(TODO|FIXME|XXX|HACK)\b|/work/' -- . ':!tests/lint.sh' ':!*.json'
}

step clang-format formatting
step sizes sizes
step banned-functions banned
step leftovers leftovers
step shellcheck shell
step cppcheck cpp_check
step clang-tidy tidy
exit $failed
