"""A real Apache Kafka on this machine without containers: one node or three, plain or SASL_SSL, on 127.0.0.1 only.

Knows the broker's jars, settings, keys and processes; nothing of the fleet. Needs Java 17 and Maven, and of Python
the standard library alone. ``python -m deploy.kafka`` lists the commands; ``Cluster`` does the same for tests.
"""
