"""``python -m pavics_affinity``: the command line, for use where the script is not installed."""

from .cli import main

if __name__ == "__main__":
    main()
