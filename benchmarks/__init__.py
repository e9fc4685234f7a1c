"""Side by side with what a user would take instead; ``make bench`` runs it all.

Each module measures one group of rows and can be run by itself:
``python -m benchmarks.transport [--quick] [--json]``.
"""
