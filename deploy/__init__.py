"""What stands beside the program: a broker to try it with, scenarios, recorded errors."""
