"""Recorded errors of real machines: read from text and binary files, put through the stack, compared.

Text is what Linux printed (dmesg, journal, syslog); binary is what firmware wrote (status blocks, CPER records).
Whatever is not understood is said line by line, and nothing is guessed in silence: what the text leaves open
stands among an error's notes.

Every bound of what input drives is here. At a bound the input is refused with one line, unless it says otherwise.
"""

from typing import Final

FILE_SIZE_MAX: Final = 64 * 1024 * 1024  # bytes of one recording
LINE_SIZE_MAX: Final = 131_072  # bytes; a longer line is not understood and passed over
TEXT_SIZE_MAX: Final = 4096  # characters behind the prefix, four times what Linux prints; a longer text likewise
ERRORS_MAX: Final = 100_000  # of all recordings together
HOSTS_MAX: Final = 1000  # of all recordings together: a scenario has no more tables
OPEN_RECORDS_MAX: Final = 64  # of one host whose lines may still come; the oldest is then taken as complete
BODY_SIZE_MAX: Final = 57_344  # bytes of one section: with its heads a command holds no more
BLOCK_SIZE_MAX: Final = 61_440  # bytes of a status block that a command can hold; a larger one is not presented
LISTED_MAX: Final = 10_000  # lines that are not understood and kept of one recording; the others are counted
