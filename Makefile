# perceptd: the only build file. `make help` lists the targets.
#
#   B=build/asan SANITIZE=-fsanitize=address make check     another flavour beside the release build
#   make check-one T=graph/wire                             one suite
#
# Objects lie under $(B). Kernels are compiled once per level (KERNEL_LEVELS) and family, everything else once. What was
# made with other flags, or linked from other files, is made again: see stamps below.

VERSION := 0.1.0
PREFIX  ?= /usr/local
B       ?= build/release
MODELS  ?= models
ARGS    ?=

# V=1 shows the commands
Q := $(if $(V),,@)
say = @$(if $(V),:,printf '  %-4s %s\n' $(1) $(2))

MAKEFLAGS += -rR --no-print-directory
jobs = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))
comma := ,
.DELETE_ON_ERROR:
.SECONDARY:
SHELL := /bin/bash

CC       := $(if $(filter default undefined,$(origin CC)),gcc,$(CC))
AR       := $(if $(filter default undefined,$(origin AR)),ar,$(AR))
OBJCOPY  ?= objcopy
STRIP    ?= strip
ARCH     := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine 2>/dev/null)))

SANITIZE ?=
WERROR   ?= -Werror
WARN     := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wvla $(WERROR)
HARDEN   := -fstack-protector-strong -fPIE $(if $(SANITIZE),,-D_FORTIFY_SOURCE=2)
BUILD_ID  = $(shell cat src/kernel/* src/op/* src/engine/* src/graph/* | sha1sum | cut -c1-12)
PAGE_DIGEST = $(shell cat src/http/page/* | sha1sum | cut -c1-16)
CPPFLAGS += -D_GNU_SOURCE -Iinclude -Isrc
BASE_CFLAGS := -std=gnu11 -g -pthread $(WARN) $(HARDEN) $(SANITIZE)
CFLAGS   ?= -O2
LDFLAGS  += -pthread -pie -Wl,-z,relro,-z,now -Wl,--gc-sections -Wl,--as-needed $(SANITIZE)
KERNEL_CFLAGS := -std=gnu11 -g -O3 -ffp-contract=fast -fno-lto -fno-math-errno -fno-trapping-math \
                 $(WARN) -fPIE $(SANITIZE)

# What is stripped has no tables for unwinding either (debuggers find theirs beside it), and its relocations, most of
# them relative, are packed where the linker can.
STRIPPED := $(if $(SANITIZE)$(filter -O0 -Og,$(CFLAGS)),,yes)
SMALL    := $(if $(STRIPPED),-fno-asynchronous-unwind-tables -fno-unwind-tables)
BASE_CFLAGS   += $(SMALL)
KERNEL_CFLAGS += $(SMALL)
LDFLAGS       += $(if $(and $(STRIPPED),$(filter x86_64,$(ARCH))),-Wl$(comma)-z$(comma)pack-relative-relocs)

# What of serve/ runs for every element, and is therefore compiled for speed; the rest of it, once per request, is not.
PER_ELEMENT := answer_ctc codec_elements codec_text codec_v1 ctc encoder_elements encoder_v2 encoder_wav features fourier json picture sound sound_pcm writer

LIB_LIBS    := -lxxhash -lm -ldl
DAEMON_LIBS := -lmicrohttpd -lgnutls -luv -ljansson -ljpeg -lspng -lwslay -lz

# A level compiles the families in which it is better than the level below, from which it borrows the others (pick.c).
# One with gemm or convolve of its own has map as well, whose activations they call (epilogue.h).
FAMILIES := gemm convolve map reduce recur quantize layout
KERNEL_LEVELS := base $(if $(filter x86_64,$(ARCH)),v3 v4 v4_vnni)
LEVEL_base    :=
LEVEL_v3      := -march=x86-64-v3
LEVEL_v4      := -march=x86-64-v4 -mprefer-vector-width=512
LEVEL_v4_vnni := $(LEVEL_v4) -mavx512vnni
FAMILIES_base := $(FAMILIES)
FAMILIES_v3   := $(FAMILIES)
FAMILIES_v4   := $(FAMILIES)
FAMILIES_v4_vnni := quantize
kernels       := $(foreach l,$(KERNEL_LEVELS),$(FAMILIES_$l:%=%.$l))

lib_src    := $(sort $(wildcard src/base/*.c src/graph/*.c src/op/*.c src/engine/*.c)) \
              src/kernel/pick.c src/kernel/blas.c
daemon_src := $(sort $(wildcard src/serve/*.c src/http/*.c src/command/*.c src/*.c))
lib_obj    := $(lib_src:%.c=$(B)/%.o) $(kernels:%=$(B)/src/kernel/kernels.%.o)
daemon_obj := $(daemon_src:%.c=$(B)/%.o)

.PHONY: all
all: $(B)/perceptd $(B)/libpercept.a ## build the daemon and the library (the default)

.PHONY: help
help: ## print this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- what Debian must have --------------------------------------------------------------------------

PACKAGES := gcc libc6-dev make pkg-config curl check libmicrohttpd-dev libgnutls28-dev libjansson-dev libuv1-dev \
            libopenblas-serial-dev libopenblas0-serial libjpeg62-turbo-dev libmpg123-dev libsndfile1-dev libsoxr-dev \
            libspng-dev libutf8proc-dev libwebp-dev libwslay-dev libxxhash-dev zlib1g-dev

.PHONY: deps
deps: ## install the Debian packages that are missing
	@missing=; for p in $(PACKAGES); do \
	  [ "$$(dpkg-query -Wf '$${db:Status-Status}' $$p 2>/dev/null)" = installed ] || missing="$$missing $$p"; done; \
	[ -n "$$missing" ] || exit 0; \
	install="apt-get install -y --no-install-recommends$$missing"; \
	if ! command -v apt-get >/dev/null; then \
	  echo "not a Debian system: install the equivalents of$$missing" >&2; exit 1; \
	elif [ "$$(id -u)" = 0 ]; then become=; \
	elif sudo -n true 2>/dev/null || { [ -t 0 ] && command -v sudo >/dev/null; }; then become=sudo; \
	else echo "missing packages; as root run:  apt-get update && $$install" >&2; exit 1; fi; \
	echo "installing:$$missing"; \
	$$become apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$become $$install -qq >$${TMPDIR:-/tmp}/perceptd-deps.log 2>&1 \
	  || { cat $${TMPDIR:-/tmp}/perceptd-deps.log >&2; exit 1; }

.PHONY: run
run: ## install what is missing, build, serve models/
	@$(MAKE) deps
	@$(MAKE) $(jobs) all
	@exec $(B)/perceptd serve $(MODELS) $(ARGS)

# --- stamps -----------------------------------------------------------------------------------------
# A stamp is a file that holds a text and is new when the text has changed: what depends on it is then made again.
# $(B)/flags is what objects are compiled with, $(B)/parts what is linked, and with which flags.

flags := $(CC) $(shell $(CC) -dumpfullversion) $(CPPFLAGS) $(BASE_CFLAGS) $(CFLAGS) / $(KERNEL_CFLAGS) \
         / $(LEVEL_base) / $(LEVEL_v3) / $(LEVEL_v4) / $(PER_ELEMENT) / $(VERSION)
parts := $(kernels) / $(LDFLAGS) $(DAEMON_LIBS) $(LIB_LIBS) / $(STRIPPED) \
         / $(sort $(wildcard src/*.c src/*/*.c src/kernel/* tests/*.c tests/*/*.c))

.PHONY: new
define stamp
$(if $(call differ,$(strip $(file <$(B)/$(1))),$(strip $($(1)))),$(B)/$(1): new)
$(B)/$(1):
	@mkdir -p $$(@D)
	@printf '%s\n' '$$(subst ','\'',$$($(1)))' > $$@
endef
differ = $(if $(and $(findstring x$(1)x,x$(2)x),$(findstring x$(2)x,x$(1)x)),,yes)
$(foreach s,flags parts,$(eval $(call stamp,$s)))

# --- objects ----------------------------------------------------------------------------------------

$(B)/src/%.o: src/%.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS) $(BASE_CFLAGS) $(CFLAGS) -ffunction-sections -MMD -MP -c $< -o $@

$(B)/src/engine/model.o: CPPFLAGS += -DPERCEPT_VERSION='"$(VERSION)"'
$(B)/src/engine/pack.o: CPPFLAGS += -DPERCEPT_BUILD='"$(BUILD_ID)"'
$(B)/src/engine/pack.o: $(wildcard src/kernel/* src/op/* src/engine/* src/graph/*) $(B)/parts
# The page for browsers is compiled in, as it is.
$(B)/src/http/page.o: CPPFLAGS += -DPAGE_DIGEST='"$(PAGE_DIGEST)"'
$(B)/src/http/page.o: $(wildcard src/http/page/*)
# What opens models and speaks HTTP is done once; what runs for every element is in kernel/, op/ and a few of serve/.
$(B)/src/graph/%.o $(B)/src/engine/%.o $(B)/src/http/%.o $(B)/src/serve/%.o $(B)/src/command/%.o: CFLAGS += -Os
$(foreach f,$(PER_ELEMENT),$(if $(wildcard src/serve/$f.c),,$(error there is no src/serve/$f.c)))
$(PER_ELEMENT:%=$(B)/src/serve/%.o): CFLAGS += -O2
$(B)/src/op/binary.o $(B)/src/op/cast.o: CFLAGS += -O3 # loops over elements of every type
$(B)/src/serve/picture.o: CFLAGS += -O3
$(B)/src/kernel/pick.o: $(B)/parts
$(B)/src/kernel/pick.o: CPPFLAGS += -D'KERNELS_HAVE(HAS)=$(foreach k,$(kernels),HAS($(subst .,$(comma),$k)))'
# As old as its beginning: a header that was edited during the half minute this takes is newer.
$(B)/src/kernel/kernels.%.o: src/kernel/kernels.c $(B)/flags
	@mkdir -p $(@D)
	@touch $@.begun
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS) $(KERNEL_CFLAGS) $(LEVEL_$(subst .,,$(suffix $*))) \
	  -DKERNELS_FAMILY_$(basename $*) -DKERNELS_LEVEL=$(subst .,,$(suffix $*)) -MMD -MP -c $< -o $@
	@touch -r $@.begun $@ && rm $@.begun

$(B)/tests/%.o: tests/%.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS) -Itests $(BASE_CFLAGS) -O1 -MMD -MP -c $< -o $@

-include $(lib_obj:.o=.d) $(daemon_obj:.o=.d) $(wildcard $(B)/tests/*.d $(B)/tests/*/*.d)

# The library exports percept_* alone: objects are joined, then everything else is made local.
$(B)/libpercept.o: $(lib_obj) $(B)/parts
	@$(CC) -nostdlib -r $(filter-out -pie,$(SANITIZE)) -o $@ $(filter %.o,$^)
	@$(OBJCOPY) --wildcard --keep-global-symbol='percept_*' $@

$(B)/libpercept.a: $(B)/libpercept.o
	@rm -f $@
	$(call say,AR,$@)
	$(Q)$(AR) rcs $@ $<

# Without its symbols, unless it is built for a debugger or a sanitizer; they lie beside it, where gdb finds them.
$(B)/perceptd: $(daemon_obj) $(lib_obj) $(B)/parts
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(DAEMON_LIBS) $(LIB_LIBS)
	$(Q)$(if $(STRIPPED),$(OBJCOPY) --only-keep-debug $@ $@.debug && \
	  $(OBJCOPY) --strip-all --add-gnu-debuglink=$@.debug $@,rm -f $@.debug)

# --- tests --------------------------------------------------------------------------------------------
# One program per folder of tests/; its main is generated from the suites it finds there.

TEST_DIRS  := $(notdir $(patsubst %/,%,$(dir $(wildcard $(foreach d,base graph kernel op engine serve http command daemon,tests/$d/*.c)))))
TEST_DIRS  := $(sort $(TEST_DIRS))
test_bins  := $(TEST_DIRS:%=$(B)/test-%)
main_less  := $(filter-out $(B)/src/main.o,$(daemon_obj))

$(B)/tests/main_%.c: tests/main.awk $(wildcard tests/*/*.c) $(B)/parts
	@mkdir -p $(@D)
	@awk -f tests/main.awk tests/$*/*.c > $@

$(B)/tests/main_%.o: $(B)/tests/main_%.c $(B)/flags
	@$(CC) $(CPPFLAGS) -Itests $(BASE_CFLAGS) -O1 -c $< -o $@

# The naive loops that kernels are compared with: nothing to find there, and most of the time is theirs.
$(B)/tests/kernel/reference.o: BASE_CFLAGS += $(if $(SANITIZE),-fno-sanitize=all)

test_objects = $(patsubst %.c,$(B)/%.o,$(wildcard tests/$(1)/*.c)) $(B)/tests/main_$(1).o \
               $(patsubst %.c,$(B)/%.o,$(wildcard tests/*.c))
define test_program
$(B)/test-$(1): $(call test_objects,$(1)) $$(lib_obj) $(B)/parts $(if $(filter serve http command daemon,$(1)),$$(main_less))
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(LDFLAGS) -o $$@ $$(sort $$(filter %.o,$$^)) -lcheck -lsubunit -lrt \
	  $(if $(filter serve,$(1)),-lsndfile) $(if $(filter serve http command daemon,$(1)),$$(DAEMON_LIBS)) $$(LIB_LIBS)
endef
$(foreach d,$(TEST_DIRS),$(eval $(call test_program,$(d))))

# Preloaded by a test, it lets allocations fail: tests/daemon/starved.c.
$(B)/starve.so: tests/starve/starve.c tests/starve/starve.h $(B)/flags
	@$(CC) $(CPPFLAGS) -std=gnu11 -O1 $(WARN) -shared -fPIC -o $@ $<
$(B)/test-daemon: $(B)/starve.so

.PHONY: test
test: ## install what is missing, build, run all tests on every level; ends with N passed, N failed
	@$(MAKE) deps
	@$(MAKE) $(jobs) check

.PHONY: check
check: $(test_bins) $(B)/perceptd $(B)/libpercept.a
	@tests/run.sh $(B) $(TEST_DIRS)

.PHONY: check-one
check-one: $(if $(T),$(B)/test-$(firstword $(subst /, ,$(T)))) $(B)/perceptd ## one suite, or a folder of them: T=graph/wire
	@[ -n "$(T)" ] || { echo "name a suite: make check-one T=graph/wire" >&2; exit 1; }
	@$(if $(findstring /,$(T)),CK_RUN_SUITE=$(T)) PERCEPTD_BINARY=$(B)/perceptd PERCEPTD_SHARED=$${PERCEPTD_SHARED:-../shared} \
	  CK_DEFAULT_TIMEOUT=$${CK_DEFAULT_TIMEOUT:-120} $<

# Sanitizers: other flavours beside $(B). Their warnings are the release build's and, but for ubsan's, false ones of
# their own.
# Kernels are optimised little and, under AddressSanitizer, call its checks instead of carrying them: a level
# with inlined checks takes three times as long to compile. Races are not in the levels: ThreadSanitizer
# looks at one.

flavours := $(patsubst %/,%,$(dir $(B)))
checks   := -fno-sanitize-recover=all -fno-omit-frame-pointer
flavour   = B=$(flavours)/$(1) CFLAGS="-O1 -g1" WARN="$(4)" SANITIZE="$(2) $(checks)" \
            KERNEL_CFLAGS="-std=gnu11 -g1 -O1 -ffp-contract=fast -fno-math-errno -fno-trapping-math -fPIE \
              $(2) $(checks) $(3)"
asan      = $(call flavour,asan,-fsanitize=address$(comma)undefined,--param asan-instrumentation-with-call-threshold=0)

.PHONY: asan
asan: ## all tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(MAKE) $(asan) check

.PHONY: ubsan
ubsan: ## all tests under UndefinedBehaviorSanitizer alone
	@$(MAKE) $(call flavour,ubsan,-fsanitize=undefined,,$(WARN)) check

.PHONY: tsan
tsan: ## the concurrent tests under ThreadSanitizer
	@$(MAKE) $(call flavour,tsan,-fsanitize=thread) KERNEL_LEVELS=base TEST_DIRS="base engine serve http daemon" check

$(B)/conformance: $(B)/tests/conformance/conformance.o $(lib_obj) $(B)/parts
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIB_LIBS)

.PHONY: conformance
conformance: $(B)/conformance ## ONNX's backend tests: SUITE=PATH, a folder or tar of them
	@tests/conformance/conformance.sh $(B) $(SUITE)

$(B)/real: $(B)/tests/real/real.o $(B)/tests/real/kept.o $(lib_obj) $(B)/parts
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) -ljansson $(LIB_LIBS)

.PHONY: real-models
real-models: $(B)/real ## trained models with stored cases: DIR=PATH
	@$(B)/real $(or $(DIR),$(or $(PERCEPTD_SHARED),../shared)/models) tests/real/bounds

$(B)/mates: $(B)/tests/real/mates.o $(B)/tests/mates.o $(lib_obj) $(B)/parts
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIB_LIBS)

.PHONY: mates
mates: $(B)/mates ## an item's bits beside mates of NaN and infinity, in trained, whole and shipped models: DIR=PATH
	@tests/real/mates.sh $(B) $(DIR)

.PHONY: oracle
oracle: $(B)/perceptd ## how far perceptd and the stored references are from float64: DIR=PATH T=TEXT (python3-numpy)
	@/usr/bin/python3 tests/real/oracle.py $(B)/perceptd $(or $(DIR),$(or $(PERCEPTD_SHARED),../shared)/models) $(T)

.PHONY: meaning
meaning: $(B)/perceptd ## what trained models answer over HTTP, decoded: T=TEXT OUT=FOLDER for pictures (python3)
	@python3 tests/real/meaning.py $(B)/perceptd $(or $(PERCEPTD_SHARED),../shared)

.PHONY: sounds
sounds: $(B)/perceptd ## features of posted sounds beside numpy and torchaudio (python3-onnx, -numpy, -torchaudio)
	@/usr/bin/python3 tests/real/sounds.py $(B)/perceptd

.PHONY: loops
loops: $(B)/perceptd ## an encoder and a decoder beside a lone loop over ONNX Runtime (npm): NODE_MODULES=DIR
	@tests/real/loops.sh $(B)/perceptd $(or $(PERCEPTD_SHARED),../shared)

.PHONY: page-test
page-test: $(B)/perceptd ## the page at / in a headless Chromium: T=TEXT OUT=FOLDER for screenshots (chromium, npm)
	@T='$(T)' tests/page/page.sh $(B)/perceptd $(or $(PERCEPTD_SHARED),../shared)

.PHONY: tokenizers
tokenizers: $(B)/perceptd ## ids of texts in many scripts beside Hugging Face's tokenizers (npm; iso-codes): NODE_MODULES=DIR
	@tests/real/tokenizers.sh $(B)/perceptd

.PHONY: overshoot
overshoot: $(B)/perceptd ## how late the costliest requests are answered past their deadlines: T=TEXT (python3-onnx, -numpy, -pil)
	@/usr/bin/python3 tests/daemon/overshoot.py $(B)/perceptd

.PHONY: sequences
sequences: $(B)/perceptd ## thousands of sequences over 64 connections, models replaced, room short: SEQUENCES=10000 STEPS=50 STARTS=1000000 (python3-onnx, -numpy)
	@/usr/bin/python3 tests/daemon/sequences.py $(B)/perceptd

.PHONY: abandon
abandon: $(B)/perceptd ## 5,000 clients that leave, in each phase of a request: T=PHASE (python3)
	@python3 tests/real/abandon.py $(B)/perceptd $(MODELS) $(T)

.PHONY: deploy-files
deploy-files: $(B)/perceptd ## do the files for Docker, Kubernetes, KServe and HAProxy fit the program? (python3-yaml)
	@/usr/bin/python3 tests/deploy/files.py $(B)/perceptd

.PHONY: replicas
replicas: $(B)/perceptd ## three replicas behind HAProxy: restarts and a kill under load: REQUESTS=N (root, iproute2, haproxy)
	@/usr/bin/python3 tests/deploy/replicas.py $(B)/perceptd $(MODELS) $(REQUESTS)

$(B)/peers: $(B)/tests/bench/peers.o $(B)/tests/bench/ort.o $(B)/tests/real/kept.o $(lib_obj) $(B)/parts
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) -ljansson $(LIB_LIBS)

.PHONY: bench-peers
bench-peers: $(B)/peers ## networks here and in ONNX Runtime: BATCH=1,8,32 T=TEXT ROUNDS=7 KERNELS=v3 ORT=FOLDER/node_modules (npm; python3-torch, -torchvision)
	@tests/bench/peers.sh $(B)/peers $(flavours) $(or $(DIR),$(or $(PERCEPTD_SHARED),../shared)/models)

.PHONY: bench-quantized
bench-quantized: $(B)/peers ## networks of 8-bit numbers in three forms, and in float32, here and in ONNX Runtime: as bench-peers (python3-onnx, -numpy)
	@/usr/bin/python3 tests/bench/quantized.py $(flavours)/quantized
	@NETS=$(flavours)/quantized tests/bench/peers.sh $(B)/peers $(flavours) ""

$(B)/bare: $(B)/tests/bench/bare.o $(B)/parts
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) -lmicrohttpd

.PHONY: bench-serving
bench-serving: $(B)/perceptd $(B)/bare ## requests per second beside node: ROUNDS=5 SECONDS=2 NETS=FOLDER ORT=FOLDER/node_modules (wrk, nodejs; npm: onnxruntime-node)
	@/usr/bin/python3 tests/bench/serving.py $(B)/perceptd $(B)/bare $(or $(NETS),$(flavours)/nets)

.PHONY: bench-overload
bench-overload: $(B)/perceptd ## ten times what one core can do, in an open loop: SECONDS=60 NETS=FOLDER
	@/usr/bin/python3 tests/bench/overload.py $(B)/perceptd $(or $(NETS),$(flavours)/nets)

.PHONY: bench-reloads
bench-reloads: $(B)/perceptd ## networks of 52 MB replaced under load, by API, SIGHUP and --watch: RELOADS=200
	@/usr/bin/python3 tests/bench/reloads.py $(B)/perceptd

differential_obj := $(patsubst %.c,$(B)/%.o,$(wildcard tests/differential/*.c))
$(B)/tests/differential/families.o: tests/differential/families.def

$(B)/differential: $(differential_obj) $(lib_obj) $(B)/parts
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIB_LIBS)

.PHONY: differential
differential: $(B)/differential ## random models of every operator against ONNX Runtime: T=Conv SEED=7
	@tests/differential/differential.sh $(B)

.PHONY: format
format: ## lay out C as .clang-format says (Debian's clang-format)
	@clang-format -i $$(find src include tests -name '*.[ch]')

.PHONY: lint
lint: $(B)/perceptd $(B)/libpercept.a ## layers, doors, headers alone, symbols, bans, names, documents in step
	@tests/lint/lint.sh $(B)

# --- fuzzing: T=model S=60; targets are tests/fuzz/T.c, what they share is in tests/fuzz/support ---------
# One level, little optimised, checked for addresses and not instrumented for coverage: the other
# levels are compiled from the same source and run under `make asan`, and a level with all of it takes minutes.
# Every run begins with the files of tests/fuzz/corpus/T: seeds, and what crashed once.

FUZZ_TARGETS := $(basename $(notdir $(wildcard tests/fuzz/*.c)))
fuzz_flags    = B=$(flavours)/fuzz CC=clang-14 CFLAGS="-O1 -g1" WARN= KERNEL_LEVELS=base \
                SANITIZE="-fsanitize=fuzzer-no-link,address,undefined $(checks)" \
                KERNEL_CFLAGS="-std=gnu11 -g1 -O1 -fno-math-errno -fno-trapping-math -fPIE -fsanitize=address \
                  $(checks) -mllvm -asan-instrumentation-with-call-threshold=0"
fuzz_support := $(patsubst %.c,$(B)/%.o,$(wildcard tests/fuzz/support/*.c) tests/mates.c)
fuzz_limits  := -timeout=10 -rss_limit_mb=4096 -malloc_limit_mb=1024 -max_len=32768

-include $(fuzz_support:.o=.d)

$(B)/fuzz-%: $(B)/tests/fuzz/%.o $(fuzz_support) $(lib_obj) $(main_less) $(B)/parts
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $(filter %.o,$^) $(DAEMON_LIBS) $(LIB_LIBS)

.PHONY: fuzz
fuzz: ## fuzz one target: T=model S=60 (needs clang-14 and libclang-rt-14-dev)
	@$(MAKE) $(fuzz_flags) $(flavours)/fuzz/fuzz-$(T)
	@tests/fuzz/fuzz.sh $(flavours)/fuzz $(or $(S),60) "$(fuzz_limits)" $(T)

.PHONY: fuzz-short
fuzz-short: ## every fuzzer: its corpus, then six seconds of its own
	@$(MAKE) $(fuzz_flags) $(FUZZ_TARGETS:%=$(flavours)/fuzz/fuzz-%)
	@tests/fuzz/fuzz.sh $(flavours)/fuzz 6 "$(fuzz_limits)" $(FUZZ_TARGETS)

$(B)/abuse: $(B)/tests/real/abuse.o $(filter %/draw.o %/drive.o,$(fuzz_support)) $(lib_obj) $(B)/parts
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIB_LIBS)

.PHONY: abuse
abuse: ## damaged copies of the smallest trained models, under sanitizers: DIR=PATH
	@$(MAKE) $(asan) $(flavours)/asan/abuse
	@$(flavours)/asan/abuse $(or $(DIR),$(or $(PERCEPTD_SHARED),../shared)/models)

# Kernels are damaged as level base alone: its source is every level's.
mutant_levels = $(if $(filter kernel,$(T)),KERNEL_LEVELS=base)
mutant_build  = $(flavours)/mutants$(if $(filter kernel,$(T)),-base)
mutant_goals  = test-$(T) $(if $(filter op engine,$(T)),conformance) $(if $(filter http serve command,$(T)),perceptd)

.PHONY: mutants
mutants: ## damage src/$(T) in N places, one at a time: which does no test notice? T=serve N=50 SEED=1 AGAIN=FILE (python3)
	@[ -n "$(T)" ] || { echo "name a folder of src: make mutants T=serve" >&2; exit 1; }
	@$(MAKE) $(jobs) -s B=$(mutant_build) WERROR= $(mutant_levels) $(mutant_goals:%=$(mutant_build)/%)
	@python3 tests/mutants/mutants.py $(mutant_build) "$(mutant_goals)" "$(mutant_levels)" $(or $(N),50) $(or $(SEED),1) $(AGAIN)

.PHONY: mutants-sanitized
mutants-sanitized:
	@$(MAKE) $(jobs) $(asan) B=$(flavours)/mutants-asan KERNEL_LEVELS=base WERROR= \
	  $(filter-out %/conformance,$(mutant_goals:%=$(flavours)/mutants-asan/%))

.PHONY: arm64
arm64: ## tests of base, graph, kernel and op on an emulated arm64 (qemu-user, gcc-aarch64-linux-gnu)
	@tests/arm64.sh $(flavours)

.PHONY: bench
bench: $(B)/perceptd ## time the shipped models (and MODELS=DIR) at several batch sizes
	@for m in $(MODELS)/*/model.onnx; do $(B)/perceptd bench $$m --batch 1,8,32 --cores 1; done

.PHONY: install
install: all ## PREFIX= DESTDIR=: binary, library, header, man page, systemd's unit, socket and user
	install -D -m 755 $(B)/perceptd $(DESTDIR)$(PREFIX)/bin/perceptd
	install -D -m 644 $(B)/libpercept.a $(DESTDIR)$(PREFIX)/lib/libpercept.a
	$(STRIP) --strip-debug $(DESTDIR)$(PREFIX)/lib/libpercept.a
	install -D -m 644 include/percept.h $(DESTDIR)$(PREFIX)/include/percept.h
	install -D -m 644 docs/perceptd.1 $(DESTDIR)$(PREFIX)/share/man/man1/perceptd.1
	install -D -m 644 systemd/perceptd.service $(DESTDIR)$(PREFIX)/lib/systemd/system/perceptd.service
	sed -i 's|^ExecStart=[^ ]*|ExecStart=$(PREFIX)/bin/perceptd|' $(DESTDIR)$(PREFIX)/lib/systemd/system/perceptd.service
	install -D -m 644 systemd/perceptd.socket $(DESTDIR)$(PREFIX)/lib/systemd/system/perceptd.socket
	install -D -m 644 systemd/perceptd.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/perceptd.conf

.PHONY: docs
docs: $(B)/perceptd ## reprint the documents that the binary writes
	$(B)/perceptd --man > docs/perceptd.1
	$(B)/perceptd --operators > docs/operators.md

.PHONY: clean
clean: ## remove build/
	rm -rf build
