# tailrace - every target; `make help` lists them
#
#   CC=clang            another compiler
#   SANITIZE=address,undefined | thread    instrumented build in its own folder
#   FAILPOINTS=1        failpoints compiled in (tests only)
#   MYSQL_CLIENT=libmysqlclient    Oracle's library instead of MariaDB Connector/C

VERSION    := 0.1.0
PREFIX     ?= /usr
CC         ?= cc
PKG_CONFIG ?= pkg-config

comma      := ,
VARIANT    := $(if $(SANITIZE),-$(subst $(comma),-,$(SANITIZE)))$(if $(FAILPOINTS),-failpoints)$(if $(COVERAGE),-coverage)$(if $(MYSQL_CLIENT),-$(MYSQL_CLIENT))
BUILD      ?= build$(if $(VARIANT),/variant$(VARIANT))

MYSQL_LIB  := $(if $(filter libmysqlclient,$(MYSQL_CLIENT)),mysqlclient,libmariadb)
LIBS       := libpq $(MYSQL_LIB) libzstd zlib jansson avro-c sqlite3 libmicrohttpd libsystemd libssl libcrypto rdkafka
WARN       := -Wall -Wextra -Wconversion -Wshadow -Wcast-qual -Wformat=2 -Wvla -Wwrite-strings \
              -Wmissing-prototypes -Wstrict-prototypes -Werror
CPPFLAGS   += -D_GNU_SOURCE -DTAILRACE_VERSION='"$(VERSION)"' -Iinclude $(if $(FAILPOINTS),-DFAILPOINTS)
CFLAGS     ?= -O2 -g
TR_CFLAGS  := -std=gnu11 $(WARN) -fPIE -pthread $(shell $(PKG_CONFIG) --cflags $(LIBS) 2>/dev/null)
TR_LDFLAGS := -pie -Wl,-z,relro,-z,now -pthread
TR_LDLIBS  := $(shell $(PKG_CONFIG) --libs $(LIBS) 2>/dev/null) -lm
ifdef SANITIZE
TR_CFLAGS  += -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
TR_LDFLAGS += -fsanitize=$(SANITIZE)
else
CPPFLAGS   += -D_FORTIFY_SOURCE=2
TR_CFLAGS  += -fstack-protector-strong
endif
ifdef COVERAGE
TR_CFLAGS  += --coverage
TR_LDFLAGS += --coverage
endif

SOURCES    := $(wildcard agent/*.c sources/*.c sinks/*.c)
OBJECTS    := $(SOURCES:%.c=$(BUILD)/%.o) $(BUILD)/gen/schemas.o
LIBRARY    := $(BUILD)/libtailrace.a
PROGRAM    := $(BUILD)/tailrace
UNIT       := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/test_*.c))

.DEFAULT_GOAL := all
# One short line a step; V=1 shows the whole command.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $(2))
.DELETE_ON_ERROR:
.SECONDARY:

all: $(PROGRAM)		## the program: build/tailrace

$(PROGRAM): $(BUILD)/agent/main.o $(LIBRARY)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(TR_LDFLAGS) $(LDFLAGS) -o $@ $^ $(TR_LDLIBS) $(LDLIBS)

$(LIBRARY): $(filter-out $(BUILD)/agent/main.o,$(OBJECTS))
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) qcs $@ $^	# q: sources/ and sinks/ have files of one name

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(TR_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/gen/schemas.o: $(BUILD)/gen/schemas.c
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(TR_CFLAGS) -c -o $@ $<

# Contracts under schemas/ and the status page are compiled in as text.
$(BUILD)/gen/schemas.c: schemas/spool_record.avsc schemas/state.sql agent/page.html schemas/embed.sh
	@mkdir -p $(@D)
	$(Q)sh schemas/embed.sh > $@

$(BUILD)/unit/%: tests/unit/%.c $(LIBRARY)
	@mkdir -p $(@D)
	$(call say,TEST,$<)
	$(Q)$(CC) $(CPPFLAGS) -Itests/unit $(CFLAGS) $(TR_CFLAGS) -MMD -MP $(TR_LDFLAGS) $(LDFLAGS) -o $@ $< $(LIBRARY) -lcmocka $(TR_LDLIBS)

check: $(UNIT)		## unit tests, in seconds
	@set -e; for t in $(UNIT); do echo "== $$t"; $$t; done

clean:			## remove what was built
	rm -rf build

help:			## this list
	@sed -nE 's/^([a-z-]+):.*## ?(.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

-include tests/tests.mk
include deploy/install.mk
-include $(OBJECTS:.o=.d) $(UNIT:=.d)

.PHONY: all check clean help
