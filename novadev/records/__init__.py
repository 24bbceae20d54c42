"""What is recorded of guests: their devices with their addresses, and what is made of that."""
