# Everything besides building: what tests need, the tests themselves, checks of the code.

PYTHON3     ?= python3
VENV        := build/venv
PYTEST      := $(VENV)/bin/python -m pytest
APT         := tests/servers/apt.sh

DEPS_BUILD  := gcc make pkg-config libc6-dev libpq-dev libzstd-dev zlib1g-dev libjansson-dev libavro-dev \
               libsqlite3-dev libmicrohttpd-dev libsystemd-dev libssl-dev librdkafka-dev \
               libmariadb-dev
DEPS_DEMO   := postgresql-15 python3 python3-venv ca-certificates procps
DEPS_TEST   := $(DEPS_DEMO) mariadb-server-core mariadb-client libcmocka-dev clang clang-format clang-tidy cppcheck \
               shellcheck

deps:			## install what the build needs (Debian; root or sudo)
	@$(APT) $(DEPS_BUILD)

deps-test: deps $(VENV)/ready	## install what the tests need
	@$(APT) $(DEPS_TEST)

# The folder is made anew when the pinned versions change or the tree has moved.
$(VENV)/ready: tests/requirements.txt
	@$(APT) $(DEPS_DEMO)
	@rm -rf $(VENV) && $(PYTHON3) -m venv $(VENV)
	@$(VENV)/bin/pip install -q --disable-pip-version-check --no-cache-dir -r $<
	@touch $@

# Tools are looked for when make starts, so what comes after an installation is a make of its own.
test: deps-test		## everything a newcomer runs: unit, integration, short crash
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory FAILPOINTS=1 all
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory integration crash-short

integration: $(PROGRAM) $(VENV)/ready	## pytest against real servers; ARGS="-k toast"
	$(PYTEST) -q -n 2 --dist worksteal tests/integration tests/fault tests/crash $(ARGS)

crash-short: $(VENV)/ready
	@$(MAKE) --no-print-directory FAILPOINTS=1 all
	$(VENV)/bin/python tests/crash/run.py --short
	$(VENV)/bin/python tests/crash/run_mysql.py --short

crash: $(VENV)/ready	## kill -9 under load, the long form
	@$(MAKE) --no-print-directory FAILPOINTS=1 all
	$(VENV)/bin/python tests/crash/run.py $(ARGS)

crash-kafka: $(VENV)/ready	## the same with a Kafka sink, 3.9 and 4.3: brokers killed too, late and lost EndTxn, zombies
	@$(MAKE) --no-print-directory FAILPOINTS=1 all
	$(VENV)/bin/python tests/crash/run_kafka.py $(ARGS)

crash-mysql: $(VENV)/ready	## the same with MariaDB and MySQL: binlogs rotated and purged, XA, rolled-back savepoints; ARGS=--short
	@$(MAKE) --no-print-directory FAILPOINTS=1 all
	$(VENV)/bin/python tests/crash/run_mysql.py $(ARGS)

crash-sql: $(VENV)/ready	## the same with a database as the target, which is killed too; ARGS=--short
	@$(MAKE) --no-print-directory FAILPOINTS=1 all
	$(VENV)/bin/python tests/crash/run_sql.py $(ARGS)

model: $(BUILD)/unit/test_splice	## the splice of snapshots in two million random schedules
	MODEL=1000000 $<

crash-snapshot: $(VENV)/ready	## tables loaded between writers at full speed, with and without kills; ARGS=--short
	@$(MAKE) --no-print-directory FAILPOINTS=1 all
	$(VENV)/bin/python tests/crash/run_snapshot.py $(ARGS)

compat: $(PROGRAM) $(VENV)/ready	## both protocols and integration tests against PostgreSQL 10 to 18
	$(VENV)/bin/python tests/compat/run.py
	POSTGRES_VERSIONS=10,11,12,13,14,15,16,17,18 $(PYTEST) -q -n 2 --dist worksteal tests/integration $(ARGS)
	@$(MAKE) --no-print-directory compat-mysql

compat-mysql: $(PROGRAM) $(VENV)/ready	## the tests of the source mysql on every MySQL and MariaDB there is
	$(VENV)/bin/python tests/compat/run_mysql.py
	MYSQL_VERSIONS=all $(PYTEST) -q -n 2 --dist worksteal tests/integration/test_mysql_*.py tests/fault/test_mysql_*.py $(ARGS)

fuzz:			## every fuzz target for FUZZ_SECONDS (600)
	@$(APT) $(DEPS_BUILD) clang libclang-rt-dev
	tests/fuzz/run.sh

bench: $(PROGRAM) $(VENV)/ready	## speed and memory as ratios in one run
	$(VENV)/bin/python tests/bench/run.py $(ARGS)

demo: deps $(VENV)/ready	## see it work; SOURCE=mariadb, SINK=kafka with a broker, KEEP=1 leaves it running
	@$(MAKE) --no-print-directory -j2 all
	@$(VENV)/bin/python tests/demo/demo.py $(if $(KEEP),--keep) $(if $(SOURCE),--source $(SOURCE)) $(if $(SINK),--sink $(SINK))

lint: $(VENV)/ready	## formatting, static analysis, sizes, banned functions
	@tests/lint.sh

cases:			## numbered edge cases: covered, refused, open
	@$(PYTHON3) tests/cases.py

debian-root:		## make demo and make test in a bare Debian 12 (root, debootstrap)
	tests/debootstrap.sh

# One kind: make sanitize SANITIZERS=thread
SANITIZERS  ?= address,undefined thread
sanitize: $(VENV)/ready	## unit and integration tests under ASan and UBSan, then TSan
	@set -e; for s in $(SANITIZERS); do \
		$(MAKE) --no-print-directory -j2 SANITIZE=$$s all check; \
		SANITIZED=$$s TAILRACE=$(CURDIR)/build/variant-$$(echo $$s | tr , -)/tailrace \
		ASAN_OPTIONS=detect_leaks=1:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1:abort_on_error=1 \
		TSAN_OPTIONS=halt_on_error=1:suppressions=$(CURDIR)/tests/tsan.supp \
		LSAN_OPTIONS=suppressions=$(CURDIR)/tests/lsan.supp \
		$(PYTEST) -q -n 2 --dist worksteal tests/integration $(ARGS); done

coverage: $(VENV)/ready	## lines covered by unit and integration tests
	@$(APT) gcovr
	@$(MAKE) --no-print-directory COVERAGE=1 all check
	TAILRACE=$(CURDIR)/build/variant-coverage/tailrace $(PYTEST) -q -n 2 tests/integration $(ARGS)
	gcovr --root . --exclude 'tests/.*' --exclude-throw-branches -s build/variant-coverage

deb:			## a Debian package in build/
	@$(APT) $(DEPS_BUILD) dpkg-dev
	@$(MAKE) --no-print-directory all
	@deploy/deb.sh $(VERSION)

include docs/docs.mk

.PHONY: model sanitize coverage deb deps deps-test test integration crash crash-kafka crash-mysql crash-snapshot crash-short compat compat-mysql fuzz bench demo lint cases debian-root crash-sql
