# shellcheck shell=bash
# What the scripts of dev/ share: where things are, and how they speak. Sourced, never run.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
state=${OMS_DEV_DIR:-$top/.dev}
[[ $state == /* ]] || state=$PWD/$state

say() { printf '%s\n' "$*"; }
die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# as_root COMMAND…: directly as root, else through sudo.
as_root() {
    if [[ $(id -u) -eq 0 ]]; then
        "$@"
    elif command -v sudo > /dev/null; then
        sudo "$@"
    else
        die "root is needed for '$1': run this as root or install sudo"
    fi
}

# build DIR [MESON OPTION…]: configures the directory once and builds what changed.
build() {
    local dir=$1
    shift
    [[ -f $dir/build.ninja ]] || meson setup "$dir" "$top" "$@" > "$dir.log" 2>&1 ||
        { cat "$dir.log" >&2; rm -f "$dir.log"; die "meson could not configure $dir"; }
    rm -f "$dir.log"
    ninja -C "$dir" > "$dir/build.log" 2>&1 || { grep -v '^\[' "$dir/build.log" | head -60 >&2; die "the build failed: see $dir/build.log"; }
}
