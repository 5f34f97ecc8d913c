#!/bin/bash
# Creates the worker's topics where they do not exist yet; `vision-worker check` compares them with what it needs.
# Set KAFKA_BOOTSTRAP_SERVERS, PARTITIONS (the most workers that can share the frames) and REPLICATION.
set -euo pipefail
PATH=$PATH:/opt/kafka/bin

create() {
    kafka-topics.sh --bootstrap-server "$KAFKA_BOOTSTRAP_SERVERS" --create --if-not-exists \
        --replication-factor "$REPLICATION" --topic "$@"
}

# The largest frame that is taken. A dead letter is a frame plus headers of up to 16 KiB.
frame=$((8 * 1024 * 1024))
letter=$((frame + 16 * 1024))

# Pictures are large, so what is read is dropped soon: 256 MiB a partition stay, in whole segments. Frames that are not
# read by then are lost: give it as much as the longest pause that must do no harm.
create frames --partitions "$PARTITIONS" --config max.message.bytes=$frame \
    --config retention.bytes=$((256 * 1024 * 1024)) --config segment.bytes=$((64 * 1024 * 1024))
# Results go to the partition number of their frame.
create predictions --partitions "$PARTITIONS"
# The running accuracy is read back from here after a crash: the last record of each key must stay.
create accuracy --partitions "$PARTITIONS" --config cleanup.policy=compact
create dead-letters --partitions 1 --config max.message.bytes=$letter
