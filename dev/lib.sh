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

# configure DIR [MESON OPTION…]: once.
configure() {
    local dir=$1
    shift
    [[ ! -f $dir/build.ninja ]] || return 0
    mkdir -p "$dir"
    meson setup "$dir" "$top" "$@" > "$dir/setup.log" 2>&1 || {
        grep -m3 ERROR "$dir/setup.log" >&2 || tail -n3 "$dir/setup.log" >&2
        die "Meson could not configure $dir: see $dir/setup.log"
    }
}

# compile DIR [TARGET…]: what changed, of everything or of the targets. The API first: ninja knows of the headers beside
# api.h only what they were when it began.
compile() {
    local dir=$1
    shift
    { ninja -C "$dir" protos/api.h && ninja -C "$dir" "$@"; } > "$dir/build.log" 2>&1 || {
        grep -vE '^(\[|ninja: Entering|gcc |clang |cc )' "$dir/build.log" | head -n60 >&2
        die "the build failed: see $dir/build.log"
    }
}

# --- the processes of a running mesh ---

base=${OMS_PORT_BASE:-7000}
redis_port=$((base + 379))
tls_port=$((base + 443))
outsiders=(processor carrier) outside_ports=($((base + 601)) $((base + 602)))
names=() ports=() admins=()
while read -r name port admin; do
    [[ -n $name && $name != \#* ]] || continue
    names+=("$name") ports+=($((base + port))) admins+=($((base + admin)))
done < "$top/dev/processes"

# When a process began, in ticks since boot: with its id, this names one process for ever.
began() { sed 's/.*) //' "/proc/$1/stat" 2> /dev/null | cut -d' ' -f20; }

# Ended, and nobody has asked how: not every machine has an init that does.
is_zombie() { [[ $(sed 's/.*) //' "/proc/$1/stat" 2> /dev/null) == Z* ]]; }

# Ended with all its threads: a killed process is a zombie for a moment before its files, locks and ports are free.
has_ended() {
    [[ ! -e /proc/$1 ]] || { is_zombie "$1" && [[ $(ls "/proc/$1/task" 2> /dev/null) == "$1" ]]; } || [[ ! -e /proc/$1 ]]
}

# running NAME: its id, if the process that we started under this name still lives.
running() {
    local pid since
    read -r pid since 2> /dev/null < "$state/run/$1.pid" || return 1
    [[ -n $since && $(began "$pid") == "$since" ]] || return 1
    ! is_zombie "$pid" || { await_end "$pid" 10 && return 1; }
    printf '%s\n' "$pid"
}

# launch NAME COMMAND…: in the background, with a log of its own.
launch() {
    local name=$1 pid
    shift
    mkdir -p "$state/run" "$state/log"
    setsid "$@" < /dev/null >> "$state/log/$name.log" 2>&1 &
    pid=$!
    disown
    printf '%s %s\n' "$pid" "$(began "$pid")" > "$state/run/$name.pid"
}

# await_end PID SECONDS
await_end() {
    local end=$((SECONDS + $2))
    until has_ended "$1"; do
        ((SECONDS < end)) || return 1
        sleep 0.05
    done
}

# stop NAME: asks it to drain, and insists when it does not.
stop() {
    local pid
    if pid=$(running "$1"); then
        kill -TERM "$pid" 2> /dev/null || true
        await_end "$pid" 20 || {
            say "$1 did not end within 20 s and is killed: see $state/log/$1.log"
            kill -KILL "$pid" 2> /dev/null || true
            await_end "$pid" 5 || die "$1 (process $pid) cannot be ended"
        }
    fi
    rm -f "$state/run/$1.pid"
}

# port_taken PORT: and it stays so; a killed process lets go of its ports a moment after it has ended.
port_taken() {
    local end=$((SECONDS + 3))
    while (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; do
        ((SECONDS < end)) || return 0
        sleep 0.05
    done
    return 1
}
