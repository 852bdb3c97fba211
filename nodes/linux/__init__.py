"""What the host's kernel and a guest's kernel have in common."""
