"""RAS nodes with their error records, memory, and the PE that takes the exceptions."""
