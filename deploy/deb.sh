#!/bin/sh
# make deb: a Debian package of what `make install` installs.  usage: deb.sh VERSION
set -eu
version=$1
arch=$(dpkg --print-architecture)
root=build/deb/tailrace_${version}_$arch
rm -rf build/deb
mkdir -p "$root/DEBIAN" build/deb/debian
make --no-print-directory -s install DESTDIR="$root" PREFIX=/usr
strip --strip-unneeded "$root/usr/bin/tailrace"

# dpkg-shlibdeps wants a source package's control file to stand in debian/.
printf 'Source: tailrace\n\nPackage: tailrace\nArchitecture: %s\n' "$arch" >build/deb/debian/control
depends=$(cd build/deb && dpkg-shlibdeps -O "${root#build/deb/}/usr/bin/tailrace" 2>/dev/null |
	sed -n 's/^shlibs:Depends=//p')
cat >"$root/DEBIAN/control" <<CONTROL
Package: tailrace
Version: $version
Architecture: $arch
Maintainer: tailrace developers <tailrace@localhost>
Installed-Size: $(du -sk "$root/usr" | cut -f1)
Depends: $depends
Section: database
Priority: optional
Description: change data capture from PostgreSQL, exactly once
 A single program that carries every committed row change of a database
 through a durable local spool into SQLite and Avro files.
CONTROL
cat >"$root/DEBIAN/postinst" <<'POSTINST'
#!/bin/sh
set -e
if command -v systemd-sysusers >/dev/null; then systemd-sysusers tailrace.conf; fi
if command -v systemd-tmpfiles >/dev/null; then systemd-tmpfiles --create tailrace.conf; fi
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
POSTINST
chmod 755 "$root/DEBIAN/postinst"
dpkg-deb --root-owner-group --build "$root" build/ >/dev/null
echo "build/tailrace_${version}_$arch.deb"
