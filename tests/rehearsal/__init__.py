"""The rehearsal of guests on another host."""
