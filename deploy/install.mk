# install.mk - `make install`; the documents are generated from the program that is installed

BINDIR    := $(PREFIX)/bin
SHAREDIR  := $(PREFIX)/share
DOCDIR    := $(SHAREDIR)/doc/tailrace
LIBDIR    := $(PREFIX)/lib
GENERATED := $(BUILD)/docs/tailrace.1 $(BUILD)/docs/options.md $(BUILD)/docs/tailrace.conf

$(BUILD)/docs/tailrace.1: $(PROGRAM)
	@mkdir -p $(@D)
	$(PROGRAM) options --format=man > $@
$(BUILD)/docs/options.md: $(PROGRAM)
	@mkdir -p $(@D)
	$(PROGRAM) options --format=markdown > $@
$(BUILD)/docs/tailrace.conf: $(PROGRAM)
	@mkdir -p $(@D)
	$(PROGRAM) options --format=conf > $@

install: $(PROGRAM) $(GENERATED)	## program, man page, units, examples (DESTDIR=, PREFIX=/usr)
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(SHAREDIR)/man/man1 $(DESTDIR)$(DOCDIR)/examples \
		$(DESTDIR)$(LIBDIR)/systemd/system $(DESTDIR)$(LIBDIR)/sysusers.d $(DESTDIR)$(LIBDIR)/tmpfiles.d
	install -m 755 $(PROGRAM) $(DESTDIR)$(BINDIR)/tailrace
	gzip -9nc $(BUILD)/docs/tailrace.1 > $(DESTDIR)$(SHAREDIR)/man/man1/tailrace.1.gz
	chmod 644 $(DESTDIR)$(SHAREDIR)/man/man1/tailrace.1.gz
	install -m 644 README.md CHANGELOG.md deploy/RUNBOOK.md $(BUILD)/docs/options.md $(DESTDIR)$(DOCDIR)/
	install -m 644 $(BUILD)/docs/tailrace.conf deploy/prometheus-rules.yml $(DESTDIR)$(DOCDIR)/examples/
	sed 's|/usr/bin/tailrace|$(BINDIR)/tailrace|' deploy/tailrace@.service > '$(DESTDIR)$(LIBDIR)/systemd/system/tailrace@.service'
	chmod 644 '$(DESTDIR)$(LIBDIR)/systemd/system/tailrace@.service'
	install -m 644 deploy/sysusers.d/tailrace.conf $(DESTDIR)$(LIBDIR)/sysusers.d/tailrace.conf
	install -m 644 deploy/tmpfiles.d/tailrace.conf $(DESTDIR)$(LIBDIR)/tmpfiles.d/tailrace.conf

uninstall:	## what install put there; configurations and state stay
	rm -rf $(DESTDIR)$(DOCDIR)
	rm -f $(DESTDIR)$(BINDIR)/tailrace $(DESTDIR)$(SHAREDIR)/man/man1/tailrace.1.gz \
		'$(DESTDIR)$(LIBDIR)/systemd/system/tailrace@.service' \
		$(DESTDIR)$(LIBDIR)/sysusers.d/tailrace.conf $(DESTDIR)$(LIBDIR)/tmpfiles.d/tailrace.conf

.PHONY: install uninstall
