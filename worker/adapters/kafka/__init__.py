"""Kafka with confluent-kafka: the group member, the producers, a reader without a group, the admin client, a probe."""

from worker.adapters.kafka.admin import BROKERS_DEFAULT, KafkaAdmin, NotAllowed, Topic
from worker.adapters.kafka.connection import BrokerUnreachable
from worker.adapters.kafka.exactly_once import ExactlyOnceSink
from worker.adapters.kafka.messages import Options
from worker.adapters.kafka.reach import BrokerProbe, Unreached
from worker.adapters.kafka.reader import KafkaReader
from worker.adapters.kafka.sink import KafkaSink
from worker.adapters.kafka.source import KafkaSource

__all__ = [
    "BROKERS_DEFAULT",
    "BrokerProbe",
    "BrokerUnreachable",
    "ExactlyOnceSink",
    "KafkaAdmin",
    "KafkaReader",
    "KafkaSink",
    "KafkaSource",
    "NotAllowed",
    "Options",
    "Topic",
    "Unreached",
]
