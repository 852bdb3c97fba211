"""The log on Kafka: brokers keep it, and workers anywhere.

What aiokafka 0.14 does that a log cannot live with, and where that is answered (numbers of its issues):

=========================================================================  ====================================
a send without an end, a stop without an end, a zombie sender (1101)       producer: deadlines; connection.discard
a cancelled send is written all the same; duplicates after any retry       stream, positions: what stands decides
a refused batch leaves a hole in the sequence (1017); a batch sent twice   producer: made anew after any failure,
or an error numbered above 72 is fatal                                     batches filled anew
an offset of -1                                                            stream: looked for, never a place
acks of 1 by default, duplicates without idempotence                       producer: fixed, not an option
one request under way for each broker, linger, small batches               a producer a writer, closed batches of
                                                                           256 KiB, no linger
callers without number that wait on a full batch; KafkaTimeoutError for    stream: one writer at a time, a batch
many senders                                                               at a time; commits are bounded
a size checked before compression                                          values end at 64 KiB, chunks at 512 KiB
the sequence ends at 2**31                                                 producer: another one at 2**30
timestamps in ms, whatever its documentation says; headers of bytes        producer.filled, the only place
open batches that wait and take in other records                           producer.filled closes them
records gone from one partition when another fails                         reader: one partition a consumer, which
                                                                           is made anew at the offset kept here
a consumer that stops without a word (1037, 1154); getmany late            reader: looks for silence; deadlines
                                                                           round every await are the watchdog
a corrupt batch met for ever, hiding good records                          reader: steps up to it, then over it
reading from the latest offset by default, jumping when out of range       reader: none, and CorruptLog
CancelledError out of stop(), tasks that stay (647, 773)                   connection.parted, let_go
heartbeats that stop while the process computes                            loop: a thread of its own
decompression without bound                                                topics: commands lie there unpacked
an open transaction of anyone hides records                                reader: read_uncommitted
lz4 and zstd need another package; slow without C extensions               connection: said in one line
stamps that brokers refuse or delete                                       topics: settings
=========================================================================  ====================================

Not met here: transactions (there are none: a reader takes every position once), rebalances, commits of offsets and
group membership (partitions are assigned by hand; a group only says who works on which), deserialisers (values are
bytes), two starts of one client, OpenTelemetry's hook.
"""
