"""What people look at: workflows, topologies and batches, as tables and as pictures.

The pictures need matplotlib, the extra ``plot``, which is loaded when one is drawn.
"""

from .plots import plot_chains, plot_spread, plot_steps

__all__ = ["plot_chains", "plot_spread", "plot_steps"]
