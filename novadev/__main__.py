"""``python -m novadev``."""

from novadev.start import main

if __name__ == "__main__":
    main()
