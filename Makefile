# porthole: `make help` lists the targets.

VERSION ?= 0.1.0
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
TIME ?= 60

# VARIANT=debug|asan|ubsan|tsan|coverage|fuzz builds into build/VARIANT, the default into build.
VARIANT ?= release
BUILD ?= $(if $(filter release,$(VARIANT)),build,build/$(VARIANT))

# A goal of the command line orders its steps by calling make again, so everything else may run in parallel.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += --jobs=$(JOBS) --no-print-directory
endif
.DELETE_ON_ERROR:
.SUFFIXES:
comma := ,

# --- Compiler and libraries ----------------------------------------------------------------------------------

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(VARIANT),fuzz)
CC := clang
endif
CXX ?= g++
PKG_CONFIG ?= pkg-config
PACKAGES := libmicrohttpd libcurl jansson libpcre2-8
# Makes the filter of system calls when porthole is built, and is not linked.
BUILD_PACKAGES := libseccomp
# Older ones of libmicrohttpd are laxer, or die of a request.
LIBMICROHTTPD := 1.0.10

# Where `make deps` builds libraries that this release has only older; several work trees may share one such place. What
# PKG_CONFIG_PATH names besides comes first.
LIBRARIES ?= build/libraries
BUILT_HERE := $(patsubst %,%/lib/pkgconfig,$(realpath $(LIBRARIES)/libmicrohttpd))
ifeq ($(findstring $(BUILT_HERE),$(PKG_CONFIG_PATH)),)
PKG_CONFIG_PATH := $(if $(PKG_CONFIG_PATH),$(PKG_CONFIG_PATH):)$(BUILT_HERE)
endif
export LIBMICROHTTPD LIBRARIES PKG_CONFIG_PATH
# What make exports does not reach $(shell) everywhere.
PACKAGE := PKG_CONFIG_PATH='$(PKG_CONFIG_PATH)' $(PKG_CONFIG)
MACHINE := $(shell $(CC) -dumpmachine 2>/dev/null)

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wvla
ifeq ($(WERROR),1)
WARNINGS += -Werror
endif

HARDENING := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection \
	$(if $(filter x86_64-%,$(MACHINE)),-fcf-protection) $(if $(filter aarch64-%,$(MACHINE)),-mbranch-protection=standard)
SANITIZING := -O1 -fno-omit-frame-pointer -fno-sanitize-recover=all

VARIANT_FLAGS_release := -O2 $(HARDENING)
VARIANT_FLAGS_debug := -O0 -g3 -fstack-protector-strong
VARIANT_FLAGS_asan := $(SANITIZING) -fsanitize=address,undefined -DPORTHOLE_BULK_BYTES=1
VARIANT_FLAGS_ubsan := $(SANITIZING) -fsanitize=undefined
VARIANT_FLAGS_tsan := $(SANITIZING) -fsanitize=thread
VARIANT_FLAGS_coverage := -O0 --coverage -fprofile-update=atomic -DNEEDS_COVERAGE_DIRECTORY='"$(abspath $(BUILD))"'
VARIANT_FLAGS_fuzz := $(SANITIZING) -fsanitize=fuzzer-no-link,address,undefined
VARIANT_FLAGS := $(VARIANT_FLAGS_$(VARIANT))
ifeq ($(VARIANT_FLAGS),)
$(error VARIANT is release, debug, asan, ubsan, tsan, coverage or fuzz, not $(VARIANT))
endif

# What a request goes through is optimized as one, where small functions in rooms of their own cost nothing, for some
# seconds of linking, which LTO=0 spares. Test programs have the same objects, each room by itself. Only with gcc.
ifeq ($(origin LTO),undefined)
LTO := $(if $(shell $(CC) --version 2>/dev/null | grep -F 'Free Software Foundation'),1,0)
endif
HOT := proxy/base proxy/http proxy/exchange proxy/reach proxy/report proxy/serve
LTO_FLAGS := $(if $(filter release1,$(VARIANT)$(LTO)),-flto=auto -ffat-lto-objects)

CFLAGS ?= -g
ALL_CPPFLAGS := -D_GNU_SOURCE -I. -DPORTHOLE_VERSION='"$(VERSION)"' \
	-DPORTHOLE_LIBMICROHTTPD='"$(LIBMICROHTTPD)"' $(shell $(PACKAGE) --cflags $(PACKAGES) 2>/dev/null) $(CPPFLAGS)
ALL_CFLAGS := -std=c11 $(WARNINGS) -fPIE -pthread $(VARIANT_FLAGS) $(CFLAGS)
ALL_LDFLAGS := -pie -pthread -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed $(VARIANT_FLAGS) $(if $(LTO_FLAGS),-fno-lto) $(LDFLAGS)
ALL_LIBS := $(shell $(PACKAGE) --libs $(PACKAGES) 2>/dev/null) $(LIBS)

NEEDS_PACKAGES := $(filter all objects tests unit helpers fuzzers install asan ubsan tsan,$(or $(MAKECMDGOALS),all))
ifneq ($(NEEDS_PACKAGES),)
ifneq ($(shell $(PACKAGE) --exists $(PACKAGES) $(BUILD_PACKAGES) 2>/dev/null && echo found),found)
$(error not all of $(PACKAGES) $(BUILD_PACKAGES) are here: `make deps` installs them)
endif
ifneq ($(shell $(PACKAGE) --atleast-version=$(LIBMICROHTTPD) libmicrohttpd && echo new),new)
$(error libmicrohttpd $(shell $(PACKAGE) --modversion libmicrohttpd) is too old, $(LIBMICROHTTPD) or later is needed: \
	`make deps` builds it, PKG_CONFIG_PATH finds one of your own)
endif
endif

# --- Files ---------------------------------------------------------------------------------------------------

SOURCES := $(wildcard config/*.c proxy/*.c proxy/*/*.c cmd/*.c)
HEADERS := $(wildcard config/*.h config/*.def proxy/*.h proxy/*/*.h proxy/*/*.def cmd/*.h)
OBJECTS := $(SOURCES:%.c=$(BUILD)/obj/%.o)
LICENSES := $(BUILD)/licenses.txt
POLICIES := $(wildcard config/examples/*.json)
FILTER := proxy/sandbox/generate/filter.c
LIBRARY := $(BUILD)/libporthole.a
PROGRAM := $(BUILD)/porthole

# tests/unit/test_*.c and tests/fuzz/fuzz_*.c are programs, other files there are a library of theirs; every .c and .cpp
# beside the other suites is a helper program.
UNIT_SOURCES := $(wildcard tests/unit/test_*.c)
UNIT_COMMON := $(filter-out $(UNIT_SOURCES),$(wildcard tests/unit/*.c))
HELPER_SOURCES := $(wildcard tests/http/*.c tests/cli/*.c tests/pods/*.c tests/soak/*.c)
HELPER_CXX := $(wildcard tests/http/*.cpp tests/cli/*.cpp tests/pods/*.cpp)
FUZZ_SOURCES := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_COMMON := $(filter-out $(FUZZ_SOURCES),$(wildcard tests/fuzz/*.c))
TEST_SOURCES := $(UNIT_SOURCES) $(UNIT_COMMON) $(HELPER_SOURCES) $(FUZZ_SOURCES) $(FUZZ_COMMON) $(wildcard tests/bench/*.c) \
	tests/endure/faults.c

UNIT_LIBRARY := $(BUILD)/libunit.a
FUZZ_LIBRARY := $(BUILD)/libfuzz.a
UNIT_PROGRAMS := $(UNIT_SOURCES:%.c=$(BUILD)/%)
HELPERS := $(HELPER_SOURCES:%.c=$(BUILD)/%) $(HELPER_CXX:%.cpp=$(BUILD)/%)
FAULTS := $(BUILD)/tests/endure/faults.so
FUZZERS := $(FUZZ_SOURCES:%.c=$(BUILD)/%)

# --- Building ------------------------------------------------------------------------------------------------

.PHONY: all objects unit helpers tests fuzzers man
all: $(PROGRAM) man ## Build build/porthole (VARIANT=debug|asan|ubsan|tsan|coverage into build/VARIANT)
objects: $(OBJECTS)
unit: $(UNIT_PROGRAMS)
helpers: $(HELPERS)
tests: $(PROGRAM) $(UNIT_PROGRAMS) $(HELPERS) $(FAULTS)
fuzzers: $(FUZZERS)

# What the objects were made with: a changed flag or version rebuilds them.
FLAGS_FILE := $(BUILD)/flags
FLAGS_NOW := $(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(LTO_FLAGS) $(ALL_LDFLAGS) $(ALL_LIBS)
$(FLAGS_FILE): FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(FLAGS_NOW))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(FLAGS_NOW))' > $@
.PHONY: FORCE
FORCE:

$(BUILD)/obj/%.o: %.c $(FLAGS_FILE)
	@mkdir -p $(@D)
	$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(if $(filter $(HOT),$(patsubst %/,%,$(dir $<))),$(LTO_FLAGS)) -MMD -MP -c -o $@ $<

$(BUILD)/obj/%.o: %.cpp $(FLAGS_FILE)
	@mkdir -p $(@D)
	$(CXX) $(ALL_CPPFLAGS) $$($(PKG_CONFIG) --cflags cpp-httplib) -std=c++17 -Wall -Wextra -fPIE -pthread $(VARIANT_FLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# The licences of what this build links in, which may change with the packages of the machine.
$(LICENSES): cmd/licenses.sh LICENSE $(FLAGS_FILE) $(wildcard /var/lib/dpkg/status)
	CC='$(CC)' VERSION='$(VERSION)' cmd/licenses.sh $(LDFLAGS) $(ALL_LIBS) > $@

# As one C string.
$(LICENSES:.txt=.c): $(LICENSES)
	@{ printf '#include "cmd/cmd.h"\n\nconst char cmd_licenses[] =\n'; \
		sed 's/[\\"?]/\\&/g; s/.*/    "&\\n"/' $<; echo '    "";'; } > $@

# The policies, as C strings.
$(BUILD)/policies.c: cmd/policies.sh $(POLICIES)
	@mkdir -p $(@D)
	@cmd/policies.sh $(POLICIES) > $@

# The filters of system calls, for this architecture and for what a sanitizer does besides.
$(BUILD)/generate-filter: $(FILTER) proxy/sandbox/calls.def proxy/sandbox/program.h $(FLAGS_FILE)
	$(CC) -D_GNU_SOURCE -I. -std=c11 $(WARNINGS) -DFILTER_WITH_SANITIZER=$(if $(filter asan tsan fuzz,$(VARIANT)),1,0) \
		$$($(PKG_CONFIG) --cflags libseccomp) -o $@ $< $$($(PKG_CONFIG) --libs libseccomp)

$(BUILD)/programs.c: $(BUILD)/generate-filter
	@$< > $@

# The page for people, as bytes.
$(BUILD)/ui.c: proxy/admin/ui.sh $(wildcard proxy/admin/ui/*)
	@mkdir -p $(@D)
	@proxy/admin/ui.sh proxy/admin/ui > $@

$(LICENSES:.txt=.o) $(BUILD)/policies.o $(BUILD)/programs.o $(BUILD)/ui.o: %.o: %.c $(FLAGS_FILE)
	$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

$(LIBRARY): $(filter-out $(BUILD)/obj/cmd/main.o,$(OBJECTS)) $(LICENSES:.txt=.o) $(BUILD)/policies.o \
		$(BUILD)/programs.o $(BUILD)/ui.o
	@rm -f $@
	$(AR) rcs $@ $^

$(PROGRAM): $(BUILD)/obj/cmd/main.o $(LIBRARY)
	$(CC) $(filter-out -fno-lto,$(ALL_LDFLAGS)) $(LTO_FLAGS) -o $@ $^ $(ALL_LIBS)

$(UNIT_LIBRARY): $(UNIT_COMMON:%.c=$(BUILD)/obj/%.o)
$(FUZZ_LIBRARY): $(FUZZ_COMMON:%.c=$(BUILD)/obj/%.o)
$(UNIT_LIBRARY) $(FUZZ_LIBRARY):
	@rm -f $@
	$(AR) rcs $@ $^

$(UNIT_PROGRAMS): $(BUILD)/%: $(BUILD)/obj/%.o $(UNIT_LIBRARY) $(LIBRARY)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(ALL_LIBS) -lcmocka -lm

$(HELPER_SOURCES:%.c=$(BUILD)/%): $(BUILD)/%: $(BUILD)/obj/%.o $(LIBRARY)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(ALL_LIBS) -lcmocka -lm

# Something happens before each of these calls.
$(BUILD)/tests/unit/test_publish_steps: ALL_LDFLAGS += $(patsubst %,-Wl$(comma)--wrap=%,open openat mkdirat chmod fchmodat \
	chown fchownat unlinkat stat lstat fstatat bind connect renameat renameat2 readdir)

# Each of these fails in its turn.
$(BUILD)/tests/unit/test_config_memory: ALL_LDFLAGS += $(patsubst %,-Wl$(comma)--wrap=%,malloc calloc realloc reallocarray \
	strdup strndup)

# Older kernels.
$(BUILD)/tests/unit/test_sandbox_abi: ALL_LDFLAGS += -Wl,--wrap=syscall

# The whole program, with another library's version.
$(BUILD)/tests/cli/old_library: | $(BUILD)/obj/cmd/main.o
$(BUILD)/tests/cli/old_library: ALL_LDFLAGS += -Wl,--wrap=MHD_get_version $(BUILD)/obj/cmd/main.o

# The whole program, whose workers try to break out.
$(BUILD)/tests/cli/captive: | $(BUILD)/obj/cmd/main.o
$(BUILD)/tests/cli/captive: ALL_LDFLAGS += -Wl,--wrap=loop_before_timers $(BUILD)/obj/cmd/main.o

$(HELPER_CXX:%.cpp=$(BUILD)/%): $(BUILD)/%: $(BUILD)/obj/%.o
	@mkdir -p $(@D)
	$(CXX) $(ALL_LDFLAGS) -o $@ $^ $$($(PKG_CONFIG) --libs cpp-httplib) $(LIBS)

# Preloaded into a program under test, whatever that was built with.
$(FAULTS): tests/endure/faults.c $(FLAGS_FILE)
	@mkdir -p $(@D)
	$(CC) $(ALL_CPPFLAGS) -std=c11 $(WARNINGS) -g -O2 -fPIC -shared -fvisibility=hidden -pthread -o $@ $<

$(FUZZERS): $(BUILD)/%: $(BUILD)/obj/%.o $(FUZZ_LIBRARY) $(LIBRARY)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(ALL_LIBS)

-include $(OBJECTS:.o=.d) $(patsubst %.c,$(BUILD)/obj/%.d,$(TEST_SOURCES)) $(HELPER_CXX:%.cpp=$(BUILD)/obj/%.d)

man: build/porthole.1
build/porthole.1: cmd/porthole.1
	@mkdir -p $(@D)
	sed 's/@VERSION@/$(VERSION)/g' $< > $@

# --- Using ---------------------------------------------------------------------------------------------------

.PHONY: help run install install-units static clean distclean
help: ## Show this list
	@sed -n 's/^\([a-z][a-z -]*\):.*## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | \
		awk -F '\t' '{ printf "  %-16s %s\n", $$1, $$2 }'

run: deps ## Install what is missing, build, and show the main job on a built-in example
	@$(MAKE) all
	@exec $(PROGRAM) demo

install: all install-units ## Install program, man page, completion and systemd units (PREFIX=/usr/local, DESTDIR=)
	install -D -m 0755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/porthole
	install -D -m 0644 build/porthole.1 $(DESTDIR)$(PREFIX)/share/man/man1/porthole.1
	install -D -m 0644 cmd/completion.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/porthole

install-units:
	install -d -m 0755 $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|/usr/local/|$(PREFIX)/|' cmd/porthole.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/porthole.service
	chmod 0644 $(DESTDIR)$(PREFIX)/lib/systemd/system/porthole.service
	install -D -m 0644 cmd/porthole.socket $(DESTDIR)$(PREFIX)/lib/systemd/system/porthole.socket
	install -D -m 0644 cmd/porthole.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/porthole.conf
	install -D -m 0644 cmd/porthole.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/porthole.conf

static: ## Build the static binary of the container image
	docker/build-static.sh

clean: ## Remove everything that was built, but for libraries
	[ ! -d build ] || find build -mindepth 1 -maxdepth 1 ! -path build/libraries -exec rm -rf {} +

distclean: ## Remove everything that was built
	rm -rf build

# --- Dependencies --------------------------------------------------------------------------------------------

.PHONY: deps deps-test
deps: ## Install the libraries and tools that building needs; build libmicrohttpd where this release has an older one
	@tests/deps.sh build

deps-test: ## The same for what the tests and checks need
	@tests/deps.sh build test

# --- Testing -------------------------------------------------------------------------------------------------

.PHONY: check check-bodies check-unit check-http check-cli check-interop check-differential check-clients check-pods check-endure check-soak check-web check-fuzz asan ubsan tsan storm attack endure soak coverage fuzz bench bench-scale
check: deps-test ## Run every test; the last line is "N passed, N failed"
	@$(MAKE) tests man
	@$(MAKE) VARIANT=asan tests
	@$(MAKE) VARIANT=tsan all
	@$(MAKE) VARIANT=fuzz fuzzers
	@tests/run-suites.sh pods,http@image interop endure clients soak web fuzz storm@tsan cli@asan http@asan unit@asan cli http unit differential

check-unit check-http check-cli check-interop check-differential check-clients check-pods check-endure check-soak check-web: check-%: tests man
	@tests/run-suites.sh $*$(if $(filter-out release,$(VARIANT)),@$(VARIANT))

check-bodies: all ## Bodies of 2 GiB each way, in each framing, at flat memory; check-interop has 256 MiB
	@tests/interop/run.sh "body of"

# These share a podman.
check-pods: export TASKS := 1

check-fuzz: ## Run one suite (also check-unit, -http, -cli, -interop, -differential, -clients, -pods, -endure, -soak and -web, of VARIANT, or with PORTHOLE=program)
	@$(MAKE) VARIANT=fuzz fuzzers
	@tests/run-suites.sh fuzz

asan ubsan tsan: ## Run the unit, HTTP and CLI tests under a sanitizer, and a storm of ten seconds
	@$(MAKE) VARIANT=$@ tests
	@tests/run-suites.sh cli@$@ storm@$@ http@$@ unit@$@

storm: ## Everything at once against one porthole, for TIME seconds, twice (VARIANT=asan|tsan)
	@$(MAKE) all
	@STORM_SECONDS=$(TIME) tests/run-suites.sh storm$(if $(filter-out release,$(VARIANT)),@$(VARIANT))

attack: ## The races for a socket's place, in their long form: 5,000 tries and 20 s of each at least
	@$(MAKE) tests
	@ATTACK_SECONDS=20 ATTACK_TRIES=5000 $(BUILD)/tests/unit/test_publish_attack
	@ATTACK_TRIES=5000 $(BUILD)/tests/unit/test_publish_steps
	@PLACE_SECONDS=20 PORTHOLE=$(abspath $(PROGRAM)) bats tests/cli/place.bats

endure: ## What a porthole meets in its life, under load, in its long form: 20 successors, 100 reloads, 200 times kill -9 (VARIANT=asan|tsan)
	@$(MAKE) tests
	@ENDURE=long AT_ONCE=1 tests/run-suites.sh endure$(if $(filter-out release,$(VARIANT)),@$(VARIANT))

soak: ## A million exchanges of all kinds, each held byte for byte against what it was to be, and what is left of them (VARIANT=asan|tsan; VALGRIND=1 has 20,000)
	@$(MAKE) tests
	@SOAK=long PORTHOLE=$(abspath $(PROGRAM)) PORTHOLE_BUILD=$(abspath $(BUILD)) $(if $(VALGRIND),SOAK_EXCHANGES=20000 \
		SOAK_UNDER='valgrind --quiet --error-exitcode=9 --leak-check=full --show-leak-kinds=definite --suppressions=tests/soak/valgrind.supp') tests/soak/test_soak.sh

coverage: ## Run them with gcov and list the lines covered in each file
	@find build/coverage -name '*.gcda' -delete 2>/dev/null || true
	@$(MAKE) VARIANT=coverage tests
	@tests/run-suites.sh unit@coverage http@coverage cli@coverage
	@tests/coverage.sh build/coverage

fuzz: ## Fuzz each target for TIME seconds, starting from tests/fuzz/corpus
	@$(MAKE) VARIANT=fuzz fuzzers
	@FUZZ_SECONDS=$(TIME) tests/run-suites.sh fuzz

bench: bench-programs ## Measure beside nginx, HAProxy and Caddy, as Debian has them, tuned, and the newest; tables and plots go to build/bench
	@tests/bench/run.sh

bench-scale: bench-programs ## The same for how the cost of a request grows with connections, routes, workers, listeners and targets
	@tests/bench/run.sh scale

# Without the newest peers the others are measured, and it is said which are not.
.PHONY: bench-programs
bench-programs:
	@tests/deps.sh build bench
	@$(MAKE) all
	@$(MAKE) static
	@tests/bench/newest.sh || true

# --- Checking ------------------------------------------------------------------------------------------------

.PHONY: lint lint-gcc lint-clang lint-format lint-tidy lint-cppcheck lint-shell format layers
LINT_SOURCES := $(SOURCES) $(FILTER) $(TEST_SOURCES)
FORMATTED := $(LINT_SOURCES) $(filter %.h,$(HEADERS)) $(wildcard tests/*/*.h) $(HELPER_CXX)
SCRIPTS := $(wildcard .ci/run cmd/*.sh docker/*.sh proxy/*/*.sh tests/*.sh tests/*/*.sh)

lint: ## Warnings of two compilers, format, clang-tidy, cppcheck, shellcheck
	@$(MAKE) --keep-going --silent lint-gcc lint-clang lint-format lint-tidy lint-cppcheck lint-shell
	@echo 'lint: clean'

lint-gcc lint-clang: lint-%:
	@$(MAKE) CC=$* WERROR=1 BUILD=build/lint-$* objects $(patsubst %.c,build/lint-$*/obj/%.o,$(TEST_SOURCES))

lint-format:
	@clang-format --dry-run -Werror $(FORMATTED)

lint-tidy: $(LINT_SOURCES:%.c=build/tidy/%.ok)

build/tidy/%.ok: %.c .clang-tidy $(HEADERS)
	@mkdir -p $(@D)
	@echo 'clang-tidy $<'
	@clang-tidy --quiet --warnings-as-errors='*' $< -- -std=c11 $(ALL_CPPFLAGS) 2>$@.stderr || { cat $@.stderr; exit 1; }
	@touch $@

lint-cppcheck:
	@mkdir -p build/cppcheck
	@cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr --cppcheck-build-dir=build/cppcheck -j $(JOBS) \
		--enable=warning,performance,portability --suppress=missingIncludeSystem --suppress=ctuuninitvar \
		-D_GNU_SOURCE '-DPORTHOLE_VERSION="0"' '-DPORTHOLE_LIBMICROHTTPD="0"' -I. $(SOURCES)

lint-shell:
	@shellcheck --external-sources --severity=warning $(SCRIPTS)
	@shellcheck --shell=bats --severity=error tests/cli/*.bats
	@! grep -nE 'eventually (\[|test) [^|]*"\$$\(' tests/cli/*.bats # which is looked at once

format: ## Format the C sources
	clang-format -i $(FORMATTED)

layers: ## Prove that includes point downwards only, without a circle, and that no file is too long
	@tests/layers.sh
