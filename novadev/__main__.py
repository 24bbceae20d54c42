"""``python -m novadev``."""

from novadev.cli import main

if __name__ == "__main__":
    main()
