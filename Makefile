# SPDX-License-Identifier: Apache-2.0
# The one Makefile: `make help` lists the targets. What is built lies in build/, what takes long in the cache (tools/common.sh).

include defconfig

CC      := gcc
CLANG   := clang
OBJCOPY := objcopy
PYTHON  := /usr/bin/python3
OPENSSL := build/deps/openssl
CRYPTO_LIBRARY := $(OPENSSL)/libcrypto.a
LWIP := build/deps/lwip
CONFIG_HEADER  := build/include/shoji-config.h

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-print-directory

# ---- Sources, by room ----

STORAGE_SOURCES := $(wildcard drivers/*.c drivers/storage/*.c drivers/storage/*/*.c)
LIB_SOURCES     := $(wildcard lib/*.c)
PORT_SOURCES    := $(filter-out crypto/port/core_% crypto/port/host_% crypto/port/efi_%,$(wildcard crypto/port/*.c))

CORE_SOURCES := $(wildcard core/*.c core/*.S guest/*.c guest/*.S guest/svm/*.[cS] guest/vmx/*.[cS]) $(STORAGE_SOURCES) $(LIB_SOURCES) \
                crypto/volume/sector.c $(wildcard crypto/port/core_*.c)
BOOT_SOURCES := $(wildcard boot/*.c boot/*.S) $(LIB_SOURCES) $(wildcard crypto/volume/*.c) $(PORT_SOURCES) $(wildcard crypto/port/efi_*.c)
VPN_SOURCES  := $(wildcard crypto/ipsec/*.c) $(filter-out services/vpn/linux.c,$(wildcard services/vpn/*.c))
LWIP_SOURCES := $(addprefix $(LWIP)/src/,netif/ethernet.c $(addprefix core/,init.c def.c dns.c inet_chksum.c ip.c mem.c memp.c netif.c pbuf.c timeouts.c \
                  udp.c $(addprefix ipv4/,dhcp.c etharp.c icmp.c ip4_frag.c ip4.c ip4_addr.c) \
                  $(addprefix ipv6/,ethip6.c icmp6.c ip6.c ip6_addr.c ip6_frag.c mld6.c nd6.c)))
# On Linux the C library has what lib/strings.c gives.
HOST_SOURCES := $(filter-out lib/strings.c,$(LIB_SOURCES)) $(wildcard crypto/volume/*.c) $(PORT_SOURCES) $(wildcard crypto/port/host_*.c) \
                $(STORAGE_SOURCES) $(filter-out tools/shojictl/main.c,$(wildcard tools/shojictl/*.c)) $(VPN_SOURCES)
SUPPORT_SOURCES := $(wildcard tests/unit/support/*.c)
TOOL_SOURCES := $(wildcard tools/shojictl/*.c) $(filter-out lib/strings.c,$(LIB_SOURCES))
# The programs of the EFI tests, and what makes the core the test core.
EFI_PROGRAM_SOURCES := boot/firmware.c boot/heap.c boot/memory_map.c lib/format.c lib/secret.c lib/strings.c
EFI_BEFORE_SOURCES  := tests/system/efi/next.c boot/device_path.c $(EFI_PROGRAM_SOURCES)
EFI_TEST_SOURCES    := $(filter-out %/acpi.c %/lock.c %/next.c,$(wildcard tests/system/efi/*.c tests/system/efi/*.S)) $(EFI_PROGRAM_SOURCES)
TEST_CORE_SOURCES   := $(wildcard tests/system/core/*.c)
UNIT_TESTS   := $(patsubst tests/unit/%.c,build/unit/%,$(wildcard tests/unit/test_*.c))
FUZZERS      := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
HEADER_MAKER := $(wildcard tests/unit/make_headers.sh)

# object DIR,SOURCES: where the objects of one target lie.
objects = $(addprefix build/$(1)/,$(addsuffix .o,$(2)))

# ---- Flags ----

WARNINGS := -Wall -Wextra -Werror
INCLUDES := -I. -Ibuild/include -I$(OPENSSL)/include -Iservices/vpn/lwip -I$(LWIP)/src/include
# The warnings in lwIP itself are not ours to mend.
LWIP_CFLAGS := -fno-strict-aliasing -fno-sanitize=alignment -w
DEPENDS   = -MMD -MP -MF $@.d
COMMON   := -std=gnu17 $(WARNINGS) $(INCLUDES)
BARE     := -ffreestanding -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-strict-aliasing \
            -mno-red-zone -ffunction-sections -fdata-sections

CORE_CFLAGS := $(COMMON) $(BARE) -O2 -g -fno-pic -fno-pie -mcmodel=kernel -mgeneral-regs-only -mindirect-branch=thunk-inline
BOOT_CFLAGS := $(COMMON) $(BARE) -O2 -g -fpic -fvisibility=hidden -maccumulate-outgoing-args -fno-merge-constants
EFI_CFLAGS  := -DGNU_EFI_USE_MS_ABI -fshort-wchar -isystem /usr/include/efi -isystem /usr/include/efi/x86_64
SANITIZE    := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
HOST_CFLAGS := $(COMMON) -O1 -g $(SANITIZE)
FUZZ_CFLAGS := $(COMMON) -O1 -g $(SANITIZE) -fsanitize=fuzzer-no-link
NATIVE_CFLAGS := $(COMMON) -O2 -g -ffunction-sections -fdata-sections
comma       := ,
# argon2 calls fill_segment once per pass, slice and lane: where the progress line is fed from.
ARGON2_WRAP := $(if $(wildcard crypto/volume/argon2_progress.c),-Wl$(comma)--wrap=fill_segment)
HOST_LIBS   := $(CRYPTO_LIBRARY) -l:libargon2.a -lZydis -lcmocka -lpthread

# ---- Targets ----

.PHONY: all efi-tests unit fuzz fuzz-short fuzz-seeds system check bench size run clean help packages-build packages-unit packages-fuzz packages-system disk FORCE

all: build/shoji.efi build/shojictl build/shoji-vpn ## build shoji.efi, shojictl and shoji-vpn
	@echo "==> build/shoji.efi: $$(( ($$(stat -c %s build/shoji.efi) + 1023) / 1024 )) KiB, of it $$(( ($$(stat -c %s build/core/shoji-core.stripped.elf) + 1023) / 1024 )) KiB core"

unit: $(UNIT_TESTS) | packages-unit ## build and run the unit tests under ASan and UBSan
	@$(PYTHON) tools/run_unit.py build/results/unit.count $(sort $(UNIT_TESTS))

fuzz: $(FUZZERS) ## run the fuzzers, each for FUZZ_SECONDS (ten minutes)
	@$(PYTHON) tools/run_fuzz.py $(FUZZ_SECONDS) build/results/fuzz.count $(sort $(FUZZERS))

fuzz-short: $(FUZZERS)
	@$(PYTHON) tools/run_fuzz.py $(FUZZ_CHECK_SECONDS) build/results/fuzz.count $(sort $(FUZZERS))

fuzz-seeds: build/shoji-vpn $(FUZZERS) | packages-system ## renew the VPN fuzzers' seeds that come from captures of its tunnels
	@$(PYTHON) tests/fuzz/record_seeds.py $(sort $(FUZZERS))

system: all efi-tests disk ## run the system tests in QEMU; T=name runs those whose name matches
	@$(PYTHON) tools/run_system.py build/results/system.count $(T)

check: ## everything: unit tests, a short fuzz, system tests; ends with `N passed, N failed`
	@rm -rf build/results
	@$(PYTHON) tools/check.py $(MAKE)

bench: all efi-tests disk build/bench/xts build/bench/esp build/bench/guest ## measure the guest with and without Shoji; writes build/bench.json
	@$(PYTHON) bench/bench.py

size: all ## lines of code of each room, and the library bytes linked with them
	@$(PYTHON) tools/size.py

run: all disk ## boot an encrypted Debian under Shoji in QEMU, on this terminal
	@$(PYTHON) tools/run.py

disk: | packages-system ## build the Debian test disks (cached)
	@tools/build-root.sh build/deps/root
	@tools/build-cloud.sh build/deps/cloud

clean: ## remove build/ (the cache stays)
	rm -rf build

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile
	@echo "Build-time choices: defconfig. Cache: $${SHOJI_CACHE:-$${XDG_CACHE_HOME:-~/.cache}/shoji} (SHOJI_CACHE moves it)."

# ---- What comes from outside: Debian packages, OpenSSL's source ----

packages-build packages-unit packages-fuzz packages-system: packages-%:
	@tools/packages.sh $*

OPENSSL_RECIPE := tools/build-openssl.sh tools/fetch-source.sh tools/common.sh tools/openssl-target.conf tools/openssl-options
$(CRYPTO_LIBRARY): $(OPENSSL_RECIPE) | packages-build
	@tools/build-openssl.sh $(OPENSSL)
	@touch -c $@

CONFIG_KEYS := $(shell sed -n 's/^\([A-Z_]*\) *=.*/\1/p' defconfig)
$(CONFIG_HEADER): FORCE
	@mkdir -p $(@D)
	@{ echo '/* SPDX-License-Identifier: Apache-2.0 */'; echo '/* Made from defconfig and the make command line. */'; \
	   $(foreach key,$(CONFIG_KEYS),echo '#define CONFIG_$(key) $($(key))';) } >$@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(LWIP)/version $(LWIP_SOURCES) &: tools/fetch-lwip.sh tools/fetch-source.sh tools/common.sh | packages-build
	@tools/fetch-lwip.sh $(LWIP)

# ---- Objects ----

.SECONDEXPANSION:
BEFORE := $(CRYPTO_LIBRARY) $(CONFIG_HEADER)
VPN_FLAVOURS := host fuzz native
LWIP_OBJECTS := $(foreach flavour,$(VPN_FLAVOURS),$(call objects,$(flavour),$(LWIP_SOURCES)))
$(LWIP_OBJECTS): EXTRA_CFLAGS := $(LWIP_CFLAGS)

define compile
@mkdir -p $(@D)
@echo "  $(1) $<"
@$(2) $(3) $(DEPENDS) -c $< -o $@
endef

build/core/%.o: % Makefile | $(BEFORE)
	$(call compile,core  ,$(CC),$(CORE_CFLAGS) $(if $(filter %.S,$<),-D__ASSEMBLER__))
build/boot/boot/%.o: boot/% Makefile | $(BEFORE)
	$(call compile,boot  ,$(CC),$(BOOT_CFLAGS) $(EFI_CFLAGS))
build/boot/%.o: % Makefile | $(BEFORE)
	$(call compile,boot  ,$(CC),$(BOOT_CFLAGS))
build/efi/%.o: % Makefile | $(BEFORE)
	$(call compile,efi   ,$(CC),$(BOOT_CFLAGS) $(EFI_CFLAGS) -mgeneral-regs-only)
build/test/%.o: % Makefile | $(BEFORE)
	$(call compile,test  ,$(CC),$(CORE_CFLAGS))
build/host/%.o: % Makefile | $(BEFORE) $(LWIP)/version packages-unit
	$(call compile,host  ,$(CC),$(HOST_CFLAGS) $(EXTRA_CFLAGS))
build/fuzz/%.o: % Makefile | $(BEFORE) $(LWIP)/version packages-fuzz
	$(call compile,fuzz  ,$(CLANG),$(FUZZ_CFLAGS) $(EXTRA_CFLAGS))
build/native/%.o: % Makefile | $(BEFORE) $(LWIP)/version
	$(call compile,native,$(CC),$(NATIVE_CFLAGS) $(EXTRA_CFLAGS))

define archive
@rm -f $@
@ar rcs $@ $^
endef
build/host/libshoji.a: $(call objects,host,$(HOST_SOURCES))
	$(archive)
build/%/liblwip.a: $$(call objects,$$*,$$(LWIP_SOURCES))
	$(archive)
build/host/libsupport.a: $(call objects,host,$(SUPPORT_SOURCES))
	$(archive)
build/fuzz/libshoji.a: $(call objects,fuzz,$(HOST_SOURCES))
	$(archive)
build/fuzz/libsupport.a: $(call objects,fuzz,$(SUPPORT_SOURCES))
	$(archive)
build/native/libshoji.a: $(call objects,native,$(filter-out tools/% drivers/%,$(HOST_SOURCES)))
	$(archive)

# ---- The core: one freestanding ELF ----

CORE_OBJECTS := $(call objects,core,$(CORE_SOURCES))
define link_core
@echo "  link   $@"
@$(CC) -nostdlib -static -no-pie -Wl,-T,core/core.lds -Wl,--gc-sections -Wl,--build-id=none -Wl,-z,max-page-size=4096 \
    -Wl,-z,noexecstack -Wl,--fatal-warnings -Wl,--orphan-handling=error -Wl,-Map=$(@:.elf=.map) \
    $(filter %.o,$^) $(CRYPTO_LIBRARY) -o $@
endef
build/core/shoji-core.elf: $(CORE_OBJECTS) core/core.lds $(CRYPTO_LIBRARY)
	$(link_core)
# The test core: the product's objects and a device for the tests.
build/test/core/shoji-core.elf: $(CORE_OBJECTS) $(call objects,test,$(TEST_CORE_SOURCES)) core/core.lds $(CRYPTO_LIBRARY)
	@mkdir -p $(@D)
	$(link_core)
%/shoji-core.stripped.elf: %/shoji-core.elf
	@$(OBJCOPY) --strip-all $< $@
%/shoji-core.sha256: %/shoji-core.stripped.elf
	@$(PYTHON) -c 'import hashlib,sys; open(sys.argv[2],"wb").write(hashlib.sha256(open(sys.argv[1],"rb").read()).digest())' $< $@

# ---- The loader: one PE file with the core in it ----

BOOT_OBJECTS := $(call objects,boot,$(BOOT_SOURCES))
build/boot/boot/core_image.S.o: build/core/shoji-core.stripped.elf build/core/shoji-core.sha256
build/boot/boot/core_image.S.o: BOOT_CFLAGS += -Wa,-Ibuild/core
build/boot/boot/sbat.S.o: build/boot/sbat.csv
build/boot/sbat.csv: $(CONFIG_HEADER)
	@mkdir -p $(@D)
	@{ echo 'sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md'; \
	   echo 'shoji,1,Shoji,shoji,$(patsubst "%",%,$(RELEASE)),https://github.com/rhboot/shim/blob/main/SBAT.md'; } >$@
define link_efi
@echo "  link   $@"
@ld -shared -Bsymbolic -nostdlib -z nocombreloc -z text -z defs -z noexecstack --gc-sections --exclude-libs ALL --no-undefined --build-id=none \
    $(if $(ARGON2_WRAP),--wrap=fill_segment) -Map=$(@:.so=.map) -T boot/efi.lds /usr/lib/crt0-efi-x86_64.o $(filter %.o,$^) \
    --start-group $(CRYPTO_LIBRARY) /usr/lib/x86_64-linux-gnu/libargon2.a /usr/lib/libgnuefi.a --end-group -o $@
endef
define finish_efi
@$(OBJCOPY) -S -j .text -j .rodata -j .data -j .dynamic -j .dynsym -j .rela -j .reloc -j .sbat --target=efi-app-x86_64 $< $@
@$(PYTHON) tools/finish_pe.py $@
endef
build/boot/shoji.so: $(BOOT_OBJECTS) boot/efi.lds $(CRYPTO_LIBRARY)
	$(link_efi)
build/shoji.efi: build/boot/shoji.so tools/finish_pe.py
	$(finish_efi)

# ---- Programs for the tests that run in UEFI, and the loader with the test core ----

build/test/boot/core_image.S.o: boot/core_image.S Makefile build/test/core/shoji-core.stripped.elf build/test/core/shoji-core.sha256
	$(call compile,test  ,$(CC),$(BOOT_CFLAGS) -Wa$(comma)-Ibuild/test/core)
build/test/shoji.so: $(filter-out %/core_image.S.o,$(BOOT_OBJECTS)) build/test/boot/core_image.S.o boot/efi.lds $(CRYPTO_LIBRARY)
	$(link_efi)
build/efi/tests.so: $(call objects,efi,$(EFI_TEST_SOURCES)) boot/efi.lds $(CRYPTO_LIBRARY)
	$(link_efi)
build/efi/acpi.so build/efi/lock.so: build/efi/%.so: build/efi/tests/system/efi/%.c.o $(call objects,efi,$(EFI_BEFORE_SOURCES)) boot/efi.lds $(CRYPTO_LIBRARY)
	$(link_efi)
build/test/%.efi: build/test/%.so tools/finish_pe.py
	$(finish_efi)
build/efi/%.efi: build/efi/%.so tools/finish_pe.py
	$(finish_efi)
efi-tests: build/test/shoji.efi build/efi/tests.efi build/efi/acpi.efi build/efi/lock.efi

# ---- Linux programs: shojictl, unit tests, fuzzers ----

build/shojictl: $(call objects,native,$(TOOL_SOURCES))
	@echo "  link   $@"
	@$(CC) -static -Wl,--gc-sections $^ -o $@

# The VPN service as a Linux program.
build/shoji-vpn: $(call objects,native,services/vpn/linux.c) build/native/libshoji.a build/native/liblwip.a $(CRYPTO_LIBRARY)
	@echo "  link   $@"
	@$(CC) -static -Wl,--gc-sections -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,-Map=build/native/shoji-vpn.map \
	    $(call objects,native,services/vpn/linux.c) -Wl,--start-group build/native/libshoji.a build/native/liblwip.a -Wl,--end-group $(CRYPTO_LIBRARY) -lpthread -o $@

build/unit/headers.stamp: $(HEADER_MAKER) | packages-unit
	@mkdir -p build/unit
	@$(if $(HEADER_MAKER),bash $(HEADER_MAKER) build/unit/headers)
	@touch $@
build/unit/%: build/host/tests/unit/%.c.o build/host/libsupport.a build/host/libshoji.a build/host/liblwip.a $(CRYPTO_LIBRARY) | build/unit/headers.stamp
	@mkdir -p $(@D)
	@echo "  link   $@"
	@$(CC) $(SANITIZE) $(ARGON2_WRAP) $< -Wl,--start-group build/host/libsupport.a build/host/libshoji.a build/host/liblwip.a -Wl,--end-group $(HOST_LIBS) -o $@
build/fuzz/fuzz_%: build/fuzz/tests/fuzz/fuzz_%.c.o build/fuzz/libsupport.a build/fuzz/libshoji.a build/fuzz/liblwip.a $(CRYPTO_LIBRARY)
	@echo "  link   $@"
	@$(CLANG) $(SANITIZE) -fsanitize=fuzzer $(ARGON2_WRAP) $< -Wl,--start-group build/fuzz/libsupport.a build/fuzz/libshoji.a build/fuzz/liblwip.a -Wl,--end-group \
	    $(CRYPTO_LIBRARY) -l:libargon2.a -lpthread -o $@

build/bench/xts build/bench/esp: build/bench/%: build/native/bench/%.c.o build/native/libshoji.a $(CRYPTO_LIBRARY)
	@mkdir -p $(@D)
	@echo "  link   $@"
	@$(CC) $< build/native/libshoji.a $(CRYPTO_LIBRARY) -lpthread -o $@

build/bench/guest: build/native/bench/guest.c.o
	@mkdir -p $(@D)
	@echo "  link   $@"
	@$(CC) -static $< -o $@

.SECONDARY:
-include $(shell find build -type f -name '*.d' 2>/dev/null)
