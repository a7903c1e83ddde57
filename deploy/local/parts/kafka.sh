# shellcheck shell=bash
# Apache Kafka: one KRaft node (broker and controller) from Maven Central.

KAFKA_VERSION=4.3.0
# The binding that belongs to the log4j-core Kafka brings; without it the broker logs nothing.
KAFKA_LOG4J_VERSION=2.25.4
KAFKA_LIBS="$CACHE/kafka-$KAFKA_VERSION"

kafka_port() { echo "$KAFKA_PORT"; }
kafka_address() { echo "127.0.0.1:$KAFKA_PORT"; }
kafka_data() { echo "$INSTANCE/kafka/data"; }
kafka_marker() { echo "$INSTANCE/kafka/server.properties"; }
kafka_stop_signal() { echo TERM; }
kafka_ready() { :; }
kafka_note() { :; }

kafka_installed() { [[ -d "$KAFKA_LIBS" ]] && java_is_recent; }

kafka_tools() {
    need java default-jre-headless java-21-openjdk-headless
    if have java && ! java_is_recent; then MISSING+=("java is older than 17: apt-get install openjdk-17-jre-headless"); fi
    if [[ ! -d "$KAFKA_LIBS" ]]; then need mvn maven maven; fi
}

java_command() {
    if [[ -n "${JAVA_HOME:-}" && -x "$JAVA_HOME/bin/java" ]]; then echo "$JAVA_HOME/bin/java"; else echo java; fi
}

java_is_recent() {
    local version
    version="$("$(java_command)" -version 2>&1 | sed -nE 's/.* version "([0-9]+).*/\1/p' | head -n 1)" || return 1
    [[ -n "$version" ]] && ((version >= 17))
}

kafka_install() { fetch_once "kafka-$KAFKA_VERSION" "Apache Kafka $KAFKA_VERSION (44 MB)" kafka_fetch; }

kafka_fetch() {
    cat >"$1/pom.xml" <<END
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>voice.local</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$KAFKA_VERSION</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>$KAFKA_LOG4J_VERSION</version></dependency>
  </dependencies>
</project>
END
    # Maven looks for its own cache in the account's home, which a service account may not have.
    local home options=()
    home="$(getent passwd "$EUID" | cut -d: -f6)"
    if [[ ! -w "$home" ]]; then options=("-Dmaven.repo.local=$1/.m2"); fi
    (cd "$1" && mvn -q -B "${options[@]}" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$1/libs")
    rm -rf "$1/.m2"
}

kafka_configure() {
    local folder="$INSTANCE/kafka"
    cat >"$folder/server.properties" <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$KAFKA_CONTROLLER_PORT
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$KAFKA_PORT,CONTROLLER://127.0.0.1:$KAFKA_CONTROLLER_PORT
advertised.listeners=PLAINTEXT://127.0.0.1:$KAFKA_PORT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs=$folder/data

# One node: every internal topic has one copy and few partitions.
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4

# A mistyped topic is an error, not a new topic.
auto.create.topics.enable=false
# The sink keeps its intent in the metadata of an offset commit.
offset.metadata.max.bytes=16384

# Consumers come and go all the time here: no waiting for more members, and
# tests may ask for short sessions in both group protocols.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=1000
group.consumer.session.timeout.ms=10000
group.consumer.min.heartbeat.interval.ms=100
group.consumer.heartbeat.interval.ms=1000

# After SIGKILL the broker may register again only when its old session has ended;
# the default of nine seconds is what every restart in a fault test would take.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500

# The default cleaner takes 128 MB of heap for itself.
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=16777216
num.network.threads=2
num.io.threads=4
END
    cat >"$folder/log4j2.properties" <<'END'
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{yyyy-MM-dd HH:mm:ss,SSS} %p %m (%c{1})%n
rootLogger.level=INFO
rootLogger.appenderRef.out.ref=out
logger.config.name=org.apache.kafka.common.config
logger.config.level=WARN
logger.server-config.name=kafka.server.KafkaConfig
logger.server-config.level=WARN
END
}

kafka_start() {
    local folder="$INSTANCE/kafka" java id
    java="$(java_command)"
    kafka_configure
    if [[ ! -f "$folder/data/meta.properties" ]]; then
        # A half-formatted folder (killed at the wrong moment) is formatted again.
        rm -rf "$folder/data"
        id="$(head -c 16 /dev/urandom | base64 | tr '+/-' 'abc' | cut -c1-22)"
        "$java" -Dlog4j2.configurationFile="$folder/log4j2.properties" -cp "$KAFKA_LIBS/libs/*" \
            kafka.tools.StorageTool format -t "$id" -c "$folder/server.properties" >>"$(part_log kafka)" 2>&1 ||
            { tail -n 20 "$(part_log kafka)" >&2; fail 70 "kafka: could not format the log folder"; }
    fi
    daemon kafka "$folder" "$java" -Xms64m -Xmx512m -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError -Djava.awt.headless=true \
        -Dlog4j2.configurationFile="$folder/log4j2.properties" -cp "$KAFKA_LIBS/libs/*" \
        kafka.Kafka "$folder/server.properties"
}

# A Metadata request (version 4, no topics) has to name one broker: a port that
# only accepts connections is not yet a broker that serves.
kafka_healthy() {
    local answer
    # shellcheck disable=SC2016 # the inner shell expands it
    answer="$(timeout 2 bash -c '
        exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
        printf "\x00\x00\x00\x0f\x00\x03\x00\x04\x00\x00\x00\x01\xff\xff\x00\x00\x00\x00\x00" >&3
        head -c 16 <&3 | od -An -v -tx1 | tr -d " \n"
    ' _ "$KAFKA_PORT" 2>/dev/null)" || return 1
    [[ "${answer:8:8}" == 00000001 && "${answer:24:8}" == 00000001 ]]
}
