#!/usr/bin/env bash
# Prints the environment that builds Rust guests on a Debian machine where
# `rustup target add wasm32-unknown-unknown` cannot work.
#
#     eval "$(guest-sdk/rust/toolchain/debian-sysroot.sh | sed 's/^/export /')"
#     "$CARGO" build --release --target wasm32-unknown-unknown
#
# It takes Debian's rustc and the standard library's sources that belong to exactly this compiler, builds std
# once into ${XDG_CACHE_HOME:-~/.cache}/datanode/guest-sysroot/<key of the compiler>, and from then on answers
# at once. Missing packages are installed when the caller is root and apt is there; otherwise, and with --no-install,
# they are named.
#
# `datanode build` carries this script, and calls it where it is needed.
#
# Standard output holds nothing but lines of the form KEY=value. Everything else goes to standard error.
set -euo pipefail

install=yes
[ "${1:-}" != --no-install ] || install=no
readonly install
readonly TARGET=wasm32-unknown-unknown
readonly PACKAGES=(rustc-web cargo-web rust-web-src)
# Raise it when the way std is built below changes: it is a part of the cache key.
readonly RECIPE=1

# Debian's tools, named in full: a rustup proxy may come first in PATH.
readonly DEB_RUSTC=/usr/bin/rustc
readonly DEB_CARGO=/usr/bin/cargo

say() { printf 'debian-sysroot: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# Installs the packages given, or says which command would.
install_packages() {
    if [ "$install" = yes ] && command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ]; then
        say "installing $*"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update >&2
        apt-get install -y --no-install-recommends "$@" >&2
    else
        die "missing Debian packages; as root: apt-get install --no-install-recommends $*"
    fi
}

library_sources() { printf '%s/lib/rustlib/src/rust/library' "$("$DEB_RUSTC" --print sysroot)"; }

# wasm-ld of the newest LLVM installed; the plain name lets rustc infer the linker's flavour.
wasm_ld() {
    find /usr/lib/llvm-*/bin -maxdepth 1 -name wasm-ld 2>/dev/null | sort -V | tail -n 1
}

ensure_toolchain() {
    if [ ! -x "$DEB_RUSTC" ] || [ ! -x "$DEB_CARGO" ] || [ ! -f "$(library_sources)/sysroot/Cargo.toml" ]; then
        install_packages "${PACKAGES[@]}"
    fi
    [ -f "$(library_sources)/sysroot/Cargo.toml" ] || die "rust-web-src does not belong to $DEB_RUSTC: upgrade both"
    if [ -z "$(wasm_ld)" ]; then
        local llvm_major
        llvm_major=$("$DEB_RUSTC" -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
        install_packages "lld-$llvm_major"
    fi
    [ -n "$(wasm_ld)" ] || die "no wasm-ld under /usr/lib/llvm-*/bin"
}

# rlibs match exactly one compiler, so the key is a digest of all it says about itself.
cache_key() {
    local digest
    digest=$({ "$DEB_RUSTC" -vV; echo "$TARGET recipe $RECIPE"; } | sha256sum | cut -c1-16)
    printf '%s-%s' "$("$DEB_RUSTC" -V | cut -d' ' -f2)" "$digest"
}

# Builds std beside its final place and moves it there in one step, so that a half-built one is never seen.
build_std() {
    local sysroot=$1 parent work libs src
    parent=$(dirname "$sysroot")
    src=$(realpath "$(library_sources)")
    mkdir -p "$parent"
    work=$(mktemp -d "$parent/.build.XXXXXX")
    # shellcheck disable=SC2064  # the value of now is meant
    trap "rm -rf '$work'" EXIT
    say "building std for $TARGET once, into $sysroot"
    local flags=(-Zforce-unstable-if-unmarked -Cembed-bitcode=yes -Cpanic=abort
        "--remap-path-prefix=$src=/rust/library"
        "--remap-path-prefix=$(library_sources)=/rust/library"
        "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo")
    env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS -u CARGO_BUILD_TARGET \
        RUSTC="$DEB_RUSTC" RUSTC_BOOTSTRAP=1 __CARGO_DEFAULT_LIB_METADATA=datanode-guest \
        CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="${flags[*]}" \
        CARGO_PROFILE_RELEASE_DEBUG=0 \
        "$DEB_CARGO" build --locked --release --manifest-path "$src/sysroot/Cargo.toml" \
        --target "$TARGET" --target-dir "$work/target" >&2
    libs=$work/sysroot/lib/rustlib/$TARGET/lib
    mkdir -p "$libs"
    cp "$work/target/$TARGET"/release/deps/*.rlib "$libs/"
    "$DEB_RUSTC" -vV >"$work/sysroot/rustc-version"
    # Another process may have been first: its result is as good as ours.
    mv -T "$work/sysroot" "$sysroot" 2>/dev/null || [ -f "$sysroot/rustc-version" ] || die "cannot write $sysroot"
    rm -rf "$work"
    trap - EXIT
}

ensure_toolchain
cache=${XDG_CACHE_HOME:-$HOME/.cache}/datanode/guest-sysroot
sysroot=$cache/$(cache_key)
case "$sysroot" in
    *[[:space:]\']*) die "a path with a space or a quote cannot travel in RUSTFLAGS: set XDG_CACHE_HOME elsewhere" ;;
esac
[ -f "$sysroot/rustc-version" ] || build_std "$sysroot"

cat <<END
CARGO=$DEB_CARGO
RUSTC=$DEB_RUSTC
CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$(wasm_ld)
CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS=--sysroot=$sysroot
END
