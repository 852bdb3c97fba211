"""What a process shows of itself: figures, metrics, health."""
