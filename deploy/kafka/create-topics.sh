#!/bin/bash
# Creates the worker's topics if they do not exist; `vision-worker check` checks their configuration.
# Set KAFKA_BOOTSTRAP_SERVERS, PARTITIONS (the maximum number of workers that share the frames) and REPLICATION.
set -euo pipefail
PATH=$PATH:/opt/kafka/bin

create() {
    kafka-topics.sh --bootstrap-server "$KAFKA_BOOTSTRAP_SERVERS" --create --if-not-exists \
        --replication-factor "$REPLICATION" --topic "$@"
}

# The largest accepted frame. A dead letter is a frame plus headers of up to 16 KiB.
frame=$((8 * 1024 * 1024))
letter=$((frame + 16 * 1024))

# Pictures are large, so they are kept only briefly: 256 MiB per partition, in whole segments. Frames that are deleted
# before they are read are lost: choose a size that covers the longest outage you want to survive.
create frames --partitions "$PARTITIONS" --config max.message.bytes=$frame \
    --config retention.bytes=$((256 * 1024 * 1024)) --config segment.bytes=$((64 * 1024 * 1024))
# Results go to the partition number of their frame.
create predictions --partitions "$PARTITIONS"
# The running accuracy is restored from here after a crash: the last record of each key must be kept.
create accuracy --partitions "$PARTITIONS" --config cleanup.policy=compact
create dead-letters --partitions 1 --config max.message.bytes=$letter
