# shellcheck shell=bash
# What the scripts of bench/ share. Sourced, never run.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$top/build-bench
PATH=$PATH:/usr/sbin:/sbin # where haproxy and nginx are

# prepare SECTIONS TARGET…: what is missing of those sections of dev/packages, and the programs, optimised.
prepare() {
    # shellcheck disable=SC2086 # words are wanted
    "$top/dev/deps" $1 >&2
    shift
    mkdir -p "$build"
    [[ -f $build/build.ninja ]] || meson setup "$build" "$top" --buildtype=release > "$build/setup.log" 2>&1 ||
        { cat "$build/setup.log" >&2; exit 1; }
    { ninja -C "$build" protos/api.h && ninja -C "$build" "$@"; } > "$build/${1##*/}.log" 2>&1 ||
        { cat "$build/${1##*/}.log" >&2; exit 1; }
}
