"""What the documents say, as declarations: bits, layouts, scales. Nothing here acts."""
