"""A picture of steps is drawn."""

from pavics_affinity.display import plot_steps

plot_steps([]).figure.savefig("steps.png")
print("draws")
