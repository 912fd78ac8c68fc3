#!/bin/bash
# make debian-root: prove that `make demo` and `make test` need nothing but a bare Debian 12.
#
# usage: debootstrap.sh [TARGET]...     default: demo test; as root
# A root is made by debootstrap --variant=minbase from this machine's mirror, the committed tree is
# cloned into it, and each target runs there by chroot.  From the machine it gets its apt sources,
# its certificates and its resolver, and make, which no one can type `make` without.  The end of each
# target's output is kept in tests/results/.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "debootstrap.sh: run as root" >&2; exit 1; }
tests/servers/apt.sh debootstrap git
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(demo test)

mirror=$(find /etc/apt \( -name '*.list' -o -name '*.sources' \) -print0 | xargs -0 cat | grep -v '^#' |
	sed -nE 's#.*(https?://[^ ]*/debian)/?( .*|$)#\1#p' | head -n 1)
mirror=${mirror:-http://deb.debian.org/debian}
root=$(mktemp -d "${DEBIAN_ROOT_DIR:-/var/tmp}/tailrace-root-XXXXXX")
chmod 755 "$root"
cleanup() {
	for m in dev/shm dev proc; do
		! mountpoint -q "$root/$m" || umount "$root/$m"
	done
	rm -rf --one-file-system "$root"
}
trap cleanup EXIT

debootstrap --variant=minbase --include=make,ca-certificates bookworm "$root" "$mirror" >"$root.log" 2>&1 ||
	{ tail -n 20 "$root.log"; exit 1; }
rm -f "$root.log"
cp /etc/resolv.conf "$root/etc/resolv.conf"
cp /etc/hosts "$root/etc/hosts"
if compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
	cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/"
	chroot "$root" update-ca-certificates >/dev/null 2>&1
fi
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/dev/shm"
git clone -q . "$root/tailrace"
commit=$(git rev-parse --short HEAD)

mkdir -p tests/results
status=0
for target in "${targets[@]}"; do
	log=$(mktemp)
	start=$SECONDS
	echo "== make $target in $root"
	code=0
	env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
		chroot "$root" make -C /tailrace "$target" </dev/null >"$log" 2>&1 || code=$?
	{
		echo "make $target in a Debian 12 root by debootstrap --variant=minbase, commit $commit:" \
			"exit $code after $((SECONDS - start)) s"
		echo "..."
		tail -n 60 "$log"
	} | sed "s#$root##g" | tee "tests/results/debian-root-$target.txt"
	rm -f "$log"
	[ "$code" = 0 ] || status=1
done
exit $status
