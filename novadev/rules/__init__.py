"""What Nova will make of what is stored: pure functions, no I/O."""
