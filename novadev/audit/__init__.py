"""The work behind ``audit``: find what will break or change, and the commands that fix it."""
