"""Workflows, topologies and batches as cards and as plots.

The plots need matplotlib (the extra ``plot``), which is imported when one is drawn.
"""

from .plots import plot_chains, plot_spread, plot_steps

__all__ = ["plot_chains", "plot_spread", "plot_steps"]
