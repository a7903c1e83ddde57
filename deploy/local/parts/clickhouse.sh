# shellcheck shell=bash
# The ClickHouse engine (libchdb.so, from npm) behind ClickHouse's HTTP
# interface (the program in deploy/local/clickhouse).

CHDB_VERSION=26.5.3
case "$(uname -m)" in
aarch64) CHDB_PACKAGE=@chdb/lib-linux-arm64-gnu ;;
*) CHDB_PACKAGE=@chdb/lib-linux-x64-gnu ;;
esac
CHDB_LIB="${VOICE_CHDB_LIB:-$CACHE/chdb-$CHDB_VERSION/libchdb.so}"

clickhouse_port() { echo "$CLICKHOUSE_PORT"; }
clickhouse_address() { echo "127.0.0.1:$CLICKHOUSE_PORT"; }
clickhouse_data() { echo "$INSTANCE/clickhouse/data"; }
clickhouse_marker() { clickhouse_data; }
clickhouse_stop_signal() { echo TERM; }
clickhouse_ready() { :; }

# Said, not done: a restart in the middle of somebody's test would be worse than old code.
clickhouse_note() {
    if [[ "$(readlink "/proc/$1/exe" 2>/dev/null)" != "$(clickhouse_server)"/* ]]; then
        echo " (an older build; stack down clickhouse, then up, for the new one)"
    fi
}

# One build per state of the sources: a running build of the workspace then
# never makes `up` wait for cargo's lock.
clickhouse_server() {
    local sources
    sources="$(cat "$HERE"/clickhouse/Cargo.toml "$HERE"/clickhouse/src/*.rs | cksum | tr ' ' '-')"
    echo "$CACHE/clickhouse-server-$sources"
}

clickhouse_installed() { [[ -f "$CHDB_LIB" && -d "$(clickhouse_server)" ]]; }

clickhouse_tools() {
    if [[ ! -f "$CHDB_LIB" ]]; then need npm npm npm; fi
    if [[ ! -d "$(clickhouse_server)" ]]; then
        need cc gcc gcc
        have cargo || MISSING+=("cargo is missing: install Rust from https://rustup.rs")
    fi
}

clickhouse_install() {
    local server
    if [[ ! -f "$CHDB_LIB" ]]; then
        fetch_once "chdb-$CHDB_VERSION" "the ClickHouse engine $CHDB_VERSION (167 MB)" clickhouse_fetch
    fi
    server="$(clickhouse_server)"
    fetch_once "${server##*/}" "the HTTP server for the engine (cargo build)" clickhouse_build
}

clickhouse_fetch() {
    npm pack --silent --pack-destination "$1" "$CHDB_PACKAGE@$CHDB_VERSION"
    tar -xzf "$1"/*.tgz -C "$1" --strip-components=1 package/libchdb.so
    rm -f "$1"/*.tgz
}

clickhouse_build() {
    local target="${CARGO_TARGET_DIR:-$ROOT/target}"
    cargo build --manifest-path "$ROOT/Cargo.toml" --target-dir "$target" -p voice-clickhouse-local
    cp "$target/debug/clickhouse-local-server" "$1/"
    # Builds of sources that nobody has any more.
    find "$CACHE" -maxdepth 1 -name 'clickhouse-server-*' -mtime +7 -exec rm -rf {} +
}

clickhouse_start() {
    mkdir -p "$(clickhouse_data)"
    daemon clickhouse "$INSTANCE/clickhouse" "$(clickhouse_server)/clickhouse-local-server" \
        --lib "$CHDB_LIB" --data "$(clickhouse_data)" --listen "127.0.0.1:$CLICKHOUSE_PORT"
}

clickhouse_healthy() {
    [[ "$(http_get /ping)" == Ok. && "$(http_get '/?query=SELECT%201')" == 1 ]]
}

# Without curl, which a small machine may not have.
http_get() {
    # shellcheck disable=SC2016 # the inner shell expands it
    timeout 5 bash -c '
        exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
        printf "GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\nX-ClickHouse-User: %s\r\nX-ClickHouse-Key: %s\r\n\r\n" "$2" "$3" "$4" >&3
        sed "1,/^\r*$/d" <&3
    ' _ "$CLICKHOUSE_PORT" "$1" "${CLICKHOUSE_USER:-default}" "${CLICKHOUSE_PASSWORD:-}" 2>/dev/null
}
