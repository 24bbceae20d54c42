"""The work behind ``audit``: what will break or change, and what to run against it."""
