#!/usr/bin/env bash
# A single-node Apache Kafka (KRaft) for tests, from Maven jars.
#
#   start-kafka.sh DIR PORT   start on 127.0.0.1:PORT (controller on PORT+1), wait until ready, print the pid
#   start-kafka.sh stop DIR   stop the broker that was started with DIR
#
# DIR keeps data and logs: start again with the same DIR to restart a broker, remove DIR for a fresh one.
# The broker stops by itself when the process that called this script ends.
#
# Environment:
#   KAFKA_CACHE   folder for the jars, filled once with Maven (default ~/.cache/weir-kafka)
#   KAFKA_PARENT  pid to live with instead of the caller; 0 = run until `stop`
#   KAFKA_REMOVE  1 = remove DIR when that process has ended
#   KAFKA_HEAP    JVM heap limit (default 384m)
#   KAFKA_JAVA    extra JVM options; for benchmarks -XX:TieredStopAtLevel=4 (slower start, faster broker)
#   KAFKA_PROPS   extra server.properties lines
#   KAFKA_SECURE  port of a second listener, SASL_SSL with SCRAM-SHA-512, and a user of it: PORT:NAME:PASSWORD. Clients trust DIR/ca.pem.
#   MAVEN         Maven command (default mvn)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
say() { echo "start-kafka: $*" >&2; }
usage() { sed -n '2,19p' "${BASH_SOURCE[0]}" >&2; exit 2; }

# The pid in $1, if it is still the JVM that was started with folder $2.
alive() { # pid dir
    [ -r "/proc/$1/cmdline" ] && tr '\0' '\n' <"/proc/$1/cmdline" 2>/dev/null | grep -qxF "$2/server.properties"
}

stop() { # dir
    local dir pid
    dir=$(cd "$1" 2>/dev/null && pwd) || { say "no such folder: $1"; return 1; }
    pid=$(cat "$dir/pid" 2>/dev/null || true)
    if [ -z "$pid" ] || ! alive "$pid" "$dir"; then say "not running"; return 0; fi
    kill -TERM "$pid"
    for _ in $(seq 1 150); do alive "$pid" "$dir" || return 0; sleep 0.1; done
    say "no answer to SIGTERM for 15 s, sending SIGKILL"
    kill -KILL "$pid"
}

[ $# -eq 2 ] || usage
if [ "$1" = stop ]; then stop "$2"; exit; fi

port=$2
IFS=: read -r secure_port user password <<<"${KAFKA_SECURE:-}"
mkdir -p "$1"; dir=$(cd "$1" && pwd)
cache=${KAFKA_CACHE:-$HOME/.cache/weir-kafka}
parent=${KAFKA_PARENT:-$PPID}

command -v java >/dev/null || { say "\`java\` is missing: Apache Kafka needs a JDK, 17 or newer"; exit 1; }
pid=$(cat "$dir/pid" 2>/dev/null || true)
if [ -n "$pid" ] && alive "$pid" "$dir"; then say "already running with pid $pid in $dir"; exit 1; fi
in_use() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
for p in "$port" "$((port + 1))" $secure_port; do
    # a broker that was just killed needs a moment to let its ports go
    for _ in $(seq 1 30); do in_use "$p" || break; sleep 0.1; done
    if in_use "$p"; then say "port $p is in use"; exit 1; fi
done

# Jars: one folder per pom.xml content, filled under a lock and renamed when complete.
sum=$(cksum <"$here/pom.xml" | cut -d' ' -f1)
libs=$cache/libs-$sum
if [ ! -d "$libs" ]; then
    command -v "${MAVEN:-mvn}" >/dev/null || { say "\`${MAVEN:-mvn}\` is missing: Maven fetches Apache Kafka once, to $cache"; exit 1; }
    mkdir -p "$cache"
    exec 9>"$cache/lock"; flock 9
    if [ ! -d "$libs" ]; then
        rm -rf "$libs.part"
        say "downloading the jars to $libs"
        "${MAVEN:-mvn}" -q -B -f "$here/pom.xml" dependency:copy-dependencies \
            -DincludeScope=runtime -DoutputDirectory="$libs.part" >&2
        mv "$libs.part" "$libs"
    fi
    exec 9>&-
fi

# Class archive: made once by a trial start; later starts then need 1 s instead of 2-3 s.
jsa=$cache/classes-$sum-$(java -version 2>&1 | cksum | cut -d' ' -f1).jsa
if [ ! -f "$jsa" ] && [ -z "${KAFKA_TRIAL:-}" ]; then
    exec 9>"$cache/lock"; flock 9
    if [ ! -f "$jsa" ]; then
        trial=$(mktemp -d "$cache/trial.XXXXXX")
        if KAFKA_TRIAL=1 KAFKA_PARENT=0 KAFKA_JAVA="-XX:ArchiveClassesAtExit=$jsa.part" \
            "${BASH_SOURCE[0]}" "$trial" "$port" >/dev/null 9>&-; then "${BASH_SOURCE[0]}" stop "$trial"; fi
        if [ -f "$jsa.part" ]; then mv "$jsa.part" "$jsa"; else say "no class archive, starts stay slow"; fi
        rm -rf "$trial"
    fi
    exec 9>&-
fi

# A certificate authority of our own, and a certificate for the broker.
certify() (
    cd "$dir"
    openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=Weir's tests" -keyout ca.key -out ca.pem
    openssl req -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -keyout server.key -out server.csr
    openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -copy_extensions copy -out server.crt
    cat server.key server.crt ca.pem >keystore.pem
)
secure_listener=
secure_props=
scram=()
if [ -n "$secure_port" ]; then
    if [ ! -f "$dir/keystore.pem" ]; then
        command -v openssl >/dev/null || { say "\`openssl\` is missing: it makes the broker's certificate"; exit 1; }
        certify >"$dir/certify.log" 2>&1 || { cat "$dir/certify.log" >&2; exit 1; }
    fi
    secure_listener=",SASL_SSL://127.0.0.1:$secure_port"
    scram=(--add-scram "SCRAM-SHA-512=[name=$user,password=$password]")
    secure_props="sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location=$dir/keystore.pem"
fi

cat >"$dir/server.properties" <<P
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))$secure_listener
advertised.listeners=PLAINTEXT://127.0.0.1:$port$secure_listener
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL
log.dirs=$dir/data
num.partitions=4
auto.create.topics.enable=false
# one broker: no replication of the internal topics, few partitions so that start and restart are quick
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
# the default of 3 s delays every first group join
group.initial.rebalance.delay.ms=0
# lets tests use short sessions and sees abandoned transactions within a second (default 10 s)
group.min.session.timeout.ms=500
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
# after a SIGKILL the controller refuses the broker until its old session ends (default 9 s)
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
# the default is 128 MB of heap
log.cleaner.dedupe.buffer.size=4194304
$secure_props
${KAFKA_PROPS:-}
P

java=(java "-Xmx${KAFKA_HEAP:-384m}" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:+ExitOnOutOfMemoryError
    -Dorg.slf4j.simpleLogger.defaultLogLevel=warn
    -Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info
    -Dorg.slf4j.simpleLogger.showDateTime=true
    -Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS
    ${KAFKA_JAVA:-})
if [ -f "$jsa" ]; then java+=("-XX:SharedArchiveFile=$jsa"); fi
java+=(-cp "$libs/*")

if [ ! -f "$dir/data/meta.properties" ]; then
    # two brokers are two clusters: 16 random bytes, as Kafka writes them
    cluster=$(head -c 16 /dev/urandom | base64 | tr "+/" "-_" | cut -c1-22 | sed "s/^-/A/")
    "${java[@]}" kafka.tools.StorageTool format --ignore-formatted -t "$cluster" "${scram[@]}" \
        -c "$dir/server.properties" >"$dir/format.log" 2>&1 || { cat "$dir/format.log" >&2; exit 1; }
fi

: >"$dir/kafka.log"
"${java[@]}" kafka.Kafka "$dir/server.properties" </dev/null >>"$dir/kafka.log" 2>&1 &
pid=$!
echo "$pid" >"$dir/pid"

# Ready = the broker is unfenced and every component runs; an open port alone comes earlier.
for i in $(seq 1 1200); do
    if grep -q 'Kafka Server started' "$dir/kafka.log"; then break; fi
    if ! kill -0 "$pid" 2>/dev/null || [ "$i" -eq 1200 ]; then
        say "Kafka did not start; the end of $dir/kafka.log:"
        tail -n 20 "$dir/kafka.log" >&2
        kill -KILL "$pid" 2>/dev/null || true
        exit 1
    fi
    sleep 0.05
done

if [ "$parent" != 0 ]; then
    (
        # An interrupted test run interrupts the whole process group: this one still cleans up.
        trap '' INT TERM HUP
        tail --pid="$parent" -s 0.5 -f /dev/null
        # The pid may be another one by now: the broker is started anew with the same folder.
        pid=$(cat "$dir/pid" 2>/dev/null || true)
        if [ -n "$pid" ] && alive "$pid" "$dir"; then kill -CONT "$pid"; kill -KILL "$pid"; fi
        if [ "${KAFKA_REMOVE:-0}" = 1 ]; then rm -rf "$dir"; fi
    ) </dev/null >/dev/null 2>&1 &
fi
echo "$pid"
