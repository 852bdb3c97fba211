#!/bin/sh
# Kafka's own kafka-acls, from the jars that are here: for those who have no other Kafka to take it from.
here=$(cd "$(dirname "$0")/../../.." && pwd)
for jars in "$here"/.kafka/jars-*/; do :; done
exec "${JAVA_HOME:+$JAVA_HOME/bin/}java" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
  "-Dlog4j2.configurationFile=file:$here/deploy/kafka/log4j2.properties" \
  -cp "$jars*" org.apache.kafka.tools.AclCommand "$@"
