# shellcheck shell=bash
# What every part of the stack shares: names, ports, downloads, processes.

NAME="${VOICE_STACK:-demo}"
[[ "$NAME" =~ ^[a-z0-9][a-z0-9_-]*$ && "$NAME" != cache ]] || {
    printf 'stack: VOICE_STACK=%s: lower-case letters, digits, - and _ only, and not "cache"\n' "$NAME" >&2
    exit 64
}
STACK_HOME="${VOICE_STACK_HOME:-$ROOT/.local}"
[[ "$STACK_HOME" == /* ]] || STACK_HOME="$PWD/$STACK_HOME"
CACHE="$STACK_HOME/cache"
INSTANCE="$STACK_HOME/$NAME"

port_offset() {
    case "$NAME" in
    demo) echo 0 ;;
    test) echo 100 ;;
    faults) echo 200 ;;
    bench) echo 300 ;;
    # Even steps leave room for Kafka's second port; the range ends before the
    # next part's ports begin.
    *) echo $((400 + 2 * ($(printf %s "$NAME" | cksum | cut -d' ' -f1) % 240))) ;;
    esac
}

OFFSET="$(port_offset)"
KAFKA_PORT="${VOICE_KAFKA_PORT:-$((19092 + OFFSET))}"
# shellcheck disable=SC2034 # read in kafka.sh
KAFKA_CONTROLLER_PORT="${VOICE_KAFKA_CONTROLLER_PORT:-$((KAFKA_PORT + 1))}"
POSTGRES_PORT="${VOICE_POSTGRES_PORT:-$((15432 + OFFSET))}"
CLICKHOUSE_PORT="${VOICE_CLICKHOUSE_PORT:-$((18123 + OFFSET))}"

declare -A PART_VARIABLE=([kafka]=KAFKA_BROKERS [postgres]=DATABASE_URL [clickhouse]=CLICKHOUSE_URL)

# --- words ---------------------------------------------------------------

say() { printf '%-11s %s\n' "$1" "$2" >&2; }

fail() {
    local code="$1"
    shift
    printf 'stack: %s\n' "$@" >&2
    exit "$code"
}

hide_password() { sed -E 's#(://[^:/@]*):[^@]*@#\1:***@#'; }

# Seconds with one decimal since the moment in $1 (milliseconds).
now_ms() { date +%s%3N; }
seconds_since() {
    local ms=$(($(now_ms) - $1))
    printf '%d.%d s' $((ms / 1000)) $((ms % 1000 / 100))
}

# Draws the wait on one line; only a terminal gets the moving parts.
SPINNER=('|' '/' '-' "\\")
tick() {
    [[ -t 2 ]] || return 0
    printf '\r%-11s %s %s %ds ' "$1" "${SPINNER[$(($3 % 4))]}" "$2" "$4" >&2
}
tick_end() { if [[ -t 2 ]]; then printf '\r\033[K' >&2; fi; }

# --- addresses -----------------------------------------------------------

own_url() {
    case "$1" in
    kafka) echo "127.0.0.1:$KAFKA_PORT" ;;
    postgres) echo "postgres://voice@127.0.0.1:$POSTGRES_PORT/voice" ;;
    clickhouse) echo "http://127.0.0.1:$CLICKHOUSE_PORT" ;;
    esac
}

# A part is external when its variable names a server that is neither this
# instance nor one of its siblings (whose `env` may be in the caller's shell).
part_is_external() {
    local variable="${PART_VARIABLE[$1]}" value
    value="${!variable:-}"
    [[ -n "$value" && "$value" != "$(own_url "$1")" ]] || return 1
    ! grep -qsxF -- "export $variable=$value" "$STACK_HOME"/*/env
}

part_url() {
    local variable="${PART_VARIABLE[$1]}"
    if part_is_external "$1"; then echo "${!variable}"; else own_url "$1"; fi
}

print_env() {
    local part
    for part in "${PARTS[@]}"; do
        printf 'export %s=%q\n' "${PART_VARIABLE[$part]}" "$(part_url "$part")"
    done
    printf 'export VOICE_STACK=%q\n' "$NAME"
}

print_env_of_this_instance() {
    local part
    for part in "${PARTS[@]}"; do
        printf 'export %s=%s\n' "${PART_VARIABLE[$part]}" "$(own_url "$part")"
    done
}

# --- locks and downloads -------------------------------------------------

# Held by up, down and reset of one instance; daemons close it (fd 8) so that
# they do not keep it.
instance_lock() {
    mkdir -p "$STACK_HOME"
    have flock || need flock util-linux util-linux
    exec 8>"$STACK_HOME/.$NAME.lock"
    if ! flock -n 8; then
        say "$NAME" "waiting for another stack command on this instance"
        flock -w 900 8 || fail 75 "another stack command has held $NAME for 15 minutes"
    fi
}

# fetch_once NAME WHAT FUNCTION: makes $CACHE/NAME by running FUNCTION in an
# empty folder and renaming that folder, so that nobody ever sees half of it.
fetch_once() {
    local name="$1" what="$2" function="$3" started work
    [[ -d "$CACHE/$name" ]] && return 0
    mkdir -p "$CACHE"
    (
        exec 9>"$CACHE/.$name.lock"
        if ! flock -n 9; then
            # shellcheck disable=SC2153 # set by install_parts
            say "$PART" "waiting for another stack that fetches $what"
            flock 9
        fi
        if [[ -d "$CACHE/$name" ]]; then exit 0; fi
        need_space
        started="$(now_ms)"
        say "$PART" "fetching $what"
        work="$(mktemp -d "$CACHE/.fetch.XXXXXX")"
        trap 'rm -rf "$work"' EXIT
        chmod 755 "$work"
        with_spinner "$PART" "fetching $what" "$work/.log" "$function" "$work" || {
            tail -n 20 "$work/.log" >&2
            fail 69 "could not fetch $what; the lines above say why"
        }
        rm -f "$work/.log"
        mv -T "$work" "$CACHE/$name"
        say "$PART" "fetched $what in $(seconds_since "$started")"
    )
}

# with_spinner PART TEXT LOG COMMAND...: runs the command, its output in LOG.
with_spinner() {
    local part="$1" text="$2" log="$3" pid turn=0 begun=$SECONDS
    shift 3
    "$@" >"$log" 2>&1 &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        tick "$part" "$text" "$turn" $((SECONDS - begun))
        turn=$((turn + 1))
        sleep 0.2
    done
    tick_end
    wait "$pid"
}

need_space() {
    local free_kb
    free_kb="$(df -Pk "$CACHE" | awk 'NR==2 {print $4}')"
    ((free_kb >= 3000000)) || fail 69 "$CACHE has $((free_kb / 1024)) MB free; the stack needs 3 GB"
}

# --- tools ---------------------------------------------------------------

have() { command -v "$1" >/dev/null 2>&1; }

MISSING=()

# need COMMAND APT_PACKAGE DNF_PACKAGE: installs what can be installed without
# asking; otherwise remembers a line for the end.
need() {
    local command="$1" apt="$2" dnf="$3" how
    have "$command" && return 0
    if package_install "$apt" "$dnf" && hash -r && have "$command"; then return 0; fi
    if have dnf; then how="dnf install $dnf"; else how="apt-get install $apt"; fi
    MISSING+=("$command is missing: $how")
}

package_install() {
    local apt="$1" dnf="$2" root=()
    [[ "${VOICE_STACK_NO_INSTALL:-}" != 1 && -n "$apt" ]] || return 1
    if ((EUID != 0)); then
        if ! { have sudo && sudo -n true 2>/dev/null; }; then return 1; fi
        root=(sudo -n)
    fi
    if have apt-get; then
        say stack "installing $apt"
        ${root[@]+"${root[@]}"} env DEBIAN_FRONTEND=noninteractive sh -c \
            "apt-get install -y --no-install-recommends $apt || { apt-get update && apt-get install -y --no-install-recommends $apt; }" >/dev/null 2>&1
    elif have dnf; then
        say stack "installing $dnf"
        ${root[@]+"${root[@]}"} dnf install -y "$dnf" >/dev/null 2>&1
    else
        return 1
    fi
}

stop_if_missing() {
    if ((${#MISSING[@]})); then fail 69 "${MISSING[@]}"; fi
}

check_platform() {
    [[ "$(uname -s)" == Linux ]] || fail 69 "the stack runs on Linux; on $(uname -s) use a Linux virtual machine"
    if ! have getconf || ! getconf GNU_LIBC_VERSION >/dev/null 2>&1; then
        fail 69 "the stack needs glibc (the ClickHouse and PostgreSQL builds are made for it); this system has another C library"
    fi
    case "$(uname -m)" in
    x86_64 | aarch64) ;;
    *) fail 69 "no builds for $(uname -m): x86_64 and aarch64 only" ;;
    esac
}

install_parts() {
    local part
    check_platform
    need flock util-linux util-linux
    for part in "$@"; do
        if ! "${part}_installed"; then "${part}_tools"; fi
    done
    stop_if_missing
    for part in "$@"; do
        PART="$part" "${part}_install"
    done
}

# --- processes -----------------------------------------------------------

part_log() { echo "$INSTANCE/$1/log"; }

# The process id of a part, if that process lives and is really ours: its
# command line has to name this instance (process ids are used again).
part_pid() {
    local pid marker word words=()
    pid="$(cat "$INSTANCE/$1.pid" 2>/dev/null)" || return 1
    [[ "$pid" =~ ^[0-9]+$ ]] || return 1
    marker="$("${1}_marker")"
    { mapfile -d '' -t words <"/proc/$pid/cmdline"; } 2>/dev/null || return 1
    for word in ${words[@]+"${words[@]}"}; do
        if [[ "$word" == "$marker" ]]; then
            echo "$pid"
            return 0
        fi
    done
    return 1
}

# daemon PART FOLDER COMMAND...: runs a daemon that outlives this shell: own
# session, no terminal, its own folder, none of our locks.
daemon() {
    local part="$1" folder="$2"
    shift 2
    pushd "$folder" >/dev/null || return
    setsid nohup "$@" >>"$(part_log "$part")" 2>&1 </dev/null 8>&- 9>&- &
    echo $! >"$INSTANCE/$part.pid"
    popd >/dev/null || return
}

declare -A STARTED_AT=()

part_start() {
    local part="$1"
    STARTED_AT[$part]="$(now_ms)"
    part_pid "$part" >/dev/null && return 0
    mkdir -p "$INSTANCE/$part"
    if port_is_taken "$("${part}_port")"; then
        fail 69 "$part: port $("${part}_port") is in use by another program; choose one with VOICE_${part^^}_PORT"
    fi
    "${part}_start"
}

port_is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

part_await() {
    local part="$1" turn=0 begun=$SECONDS
    until "${part}_healthy"; do
        # The engine needs a moment between fork and exec, hence not at once.
        if ((turn > 2)) && ! part_pid "$part" >/dev/null; then
            tick_end
            tail -n 20 "$(part_log "$part")" >&2 || true
            fail 70 "$part ended while starting; its last lines are above"
        fi
        if ((SECONDS - begun > 90)); then
            tick_end
            tail -n 20 "$(part_log "$part")" >&2 || true
            fail 70 "$part did not answer within 90 s; its last lines are above"
        fi
        tick "$part" starting "$turn" $((SECONDS - begun))
        turn=$((turn + 1))
        sleep 0.1
    done
    "${part}_ready"
    tick_end
    say "$part" "up at $("${part}_address") after $(seconds_since "${STARTED_AT[$part]}")"
}

part_stop_begin() {
    local pid
    pid="$(part_pid "$1")" || return 1
    kill "-$("${1}_stop_signal")" "$pid" 2>/dev/null || true
}

part_stop_await() {
    local part="$1" deadline="$2" pid turn=0 begun=$SECONDS
    while pid="$(part_pid "$part")"; do
        if ((SECONDS >= deadline)); then
            tick_end
            say "$part" "did not stop in time: killed"
            part_kill_tree "$pid"
            break
        fi
        tick "$part" stopping "$turn" $((SECONDS - begun))
        turn=$((turn + 1))
        sleep 0.1
    done
    tick_end
    rm -f "$INSTANCE/$part.pid"
    say "$part" "down"
}

part_kill() {
    local pid
    if ! pid="$(part_pid "$1")"; then
        say "$1" "not running"
        return 0
    fi
    part_kill_tree "$pid"
    rm -f "$INSTANCE/$1.pid"
    say "$1" "killed (process $pid)"
}

# PostgreSQL has children; a survivor would hold the data folder of the next start.
part_kill_tree() {
    local pid="$1" children each waited=0
    children="$(cat "/proc/$pid/task/$pid/children" 2>/dev/null || true)"
    # shellcheck disable=SC2086
    kill -KILL "$pid" $children 2>/dev/null || true
    for each in "$pid" $children; do
        while process_runs "$each" && ((waited < 100)); do
            sleep 0.05
            waited=$((waited + 1))
        done
    done
}

process_runs() {
    local state
    state="$(awk '/^State:/ {print $2}' "/proc/$1/status" 2>/dev/null)" || return 1
    [[ -n "$state" && "$state" != Z && "$state" != X ]]
}

resident_memory() {
    local pid kb=0 add
    for pid in "$1" $(cat "/proc/$1/task/$1/children" 2>/dev/null); do
        # Shared memory counts once: each process with its proportional share.
        add="$(awk '/^Pss:/ {print $2}' "/proc/$pid/smaps_rollup" 2>/dev/null || true)"
        [[ -n "$add" ]] || add="$(awk '/^VmRSS:/ {print $2}' "/proc/$pid/status" 2>/dev/null || true)"
        kb=$((kb + ${add:-0}))
    done
    echo "$((kb / 1024)) MB"
}
