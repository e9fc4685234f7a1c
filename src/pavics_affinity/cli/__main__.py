"""``python -m pavics_affinity.cli``, where no script is installed."""

from . import main

main()
