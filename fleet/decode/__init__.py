"""Any syndrome, register, record or table as fields with their meaning.

``kinds`` is the table of what can be decoded; each kind makes a ``View``, which ``text`` lays out for readers
and whose ``fields`` are the JSON object.
"""
