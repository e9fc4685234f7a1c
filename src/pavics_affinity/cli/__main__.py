"""``python -m pavics_affinity.cli``, for use where the script is not installed."""

from . import main

main()
