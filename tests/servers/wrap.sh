#!/bin/sh
# Write a starter for a program that needs libraries of its own.
# usage: wrap.sh STARTER PROGRAM root ROOT     a program of another Debian, run through its loader
#        wrap.sh STARTER PROGRAM libs FOLDERS  a program that finds its libraries in FOLDERS (a:b)
# The starter execs, so its process id is the program's.
set -eu
starter=$1 program=$2 how=$3 where=$4
case $how in
root)
	loader=
	for l in "$where/lib64" "$where/lib/x86_64-linux-gnu" "$where/usr/lib64" "$where/usr/lib/x86_64-linux-gnu"; do
		[ ! -x "$l/ld-linux-x86-64.so.2" ] || loader=$l/ld-linux-x86-64.so.2
	done
	[ -n "$loader" ] || { echo "wrap.sh: no loader in $where" >&2; exit 1; }
	libs=$where/lib/x86_64-linux-gnu:$where/usr/lib/x86_64-linux-gnu:$where/usr/lib
	printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s" "$@"\n' "$loader" "$libs" "$program" >"$starter";;
libs)
	printf '#!/bin/sh\nLD_LIBRARY_PATH="%s" exec "%s" "$@"\n' "$where" "$program" >"$starter";;
*)
	echo "wrap.sh: root or libs, not $how" >&2; exit 1;;
esac
chmod 755 "$starter"
