"""The log on Kafka: brokers keep it, and workers anywhere.

What aiokafka 0.14 does that a log cannot live with, and where that is answered (numbers of its issues):

======================================================================== ========================================
a send without an end, a stop without an end, a zombie sender (1101)     producer: deadlines; connection.discard
a cancelled send is written all the same; duplicates after any retry     stream, positions: what stands decides
a refused batch leaves a hole in the sequence (1017); a batch sent twice producer: made anew after any failure,
or an error numbered above 72 is fatal                                   batches filled anew
an offset of -1                                                          stream: looked for, never a place
acks of 1 by default, duplicates without idempotence                     producer: fixed, not an option
one request under way for each broker, linger, small batches             a producer a writer, closed batches of
                                                                         256 KiB, no linger
callers without number that wait on a full batch; KafkaTimeoutError for  stream: one writer at a time, a batch at
many senders                                                             a time; commits are bounded
a size checked before compression                                        values end at 64 KiB, chunks at 512 KiB
the sequence ends at 2**31                                               producer: another one at 2**30
timestamps in ms, whatever its documentation says; headers of bytes      producer.filled, the only place
open batches that wait and take in other records                         producer.filled closes them
batching and options that change with its releases; what was mended      pyproject: 0.14, no other
before 0.14 (628, 764, 983, 1135, 1160)
offsets that no record has                                               reader: passed over; feed: runs without
                                                                         a hole; integrity_there: no alarm
records gone from one partition when another fails                       reader: one partition a consumer, which
                                                                         is made anew at the offset kept here
records in hand of a partition that a rebalance took (929); a deadlock   group: hands out no records; joined:
in its callback (335)                                                    leaves all shards in it, and no lock is
                                                                         held
commit() commits wherever the consumer stands                            group.commit: explicit offsets, of
                                                                         handled commands, for those who look at
                                                                         lag
CommitFailedError after a rebalance ends naive loops                     group.commit: the next one says it
errors of a rebalance's listener, and of a commit by itself in front of  group: kept, and raised at the next
it, are swallowed                                                        look; no commit by itself
a consumer that stops without a word (1037, 1154); errors that only the  reader: looks for silence; group: for a
next call raises; getmany late                                           member without partitions; deadlines
                                                                         round every await are the watchdog
max_poll_interval of the client (848): over it the consumer leaves       group: without bound, it reads nothing
rebalance_timeout is the session's by default                            group: 30 s, of which leaving takes 7 s
                                                                         at most
every rebalance stops the world (1126), no group protocol of KIP-848;    group: everything is left and taken up
assignors with state on their class                                      from its checkpoint; RoundRobin has no
                                                                         state
a static member does not leave its group                                 group.close: gives its instance up
                                                                         first; one that was killed is waited for
                                                                         until its session ends, 10 s
two members with one instance, and nobody fenced                         positions: both write the same bytes,
                                                                         and each position counts once
a corrupt batch met for ever, hiding good records                        reader: steps up to it, then over it
deserialisers whose errors end the iterator                              none: values are bytes, decoded by the
                                                                         shard; dead letters
reading from the latest offset by default, jumping when out of range     reader: none, and CorruptLog
CancelledError out of stop(), tasks that stay (647, 773)                 connection.parted, let_go
our own cancellation reaching into the client                            loop: what is at work is shielded for a
                                                                         while
clients that are made long before they start, or started twice           made and started in one place, each once
heartbeats that stop while the process computes                          loop: a thread of its own
decompression without bound                                              topics: commands lie there unpacked
an open transaction of anyone hides records                              reader: read_uncommitted
lz4 and zstd need another package; slow without C extensions             connection: said in one line
stamps that brokers refuse or delete                                     topics: settings
======================================================================== ========================================

Not met: transactions, with all that is wrong with them. There are none of ours, since a reader takes every
position once; what others send in one counts as it stands, given up or not.
Not answered: a thread of the loop that gets no time is not measured, it shows only as a session that ends; and
OpenTelemetry's hook for asyncio, which takes memory without bound, is not loaded here, but nothing keeps others
from loading it.
"""
