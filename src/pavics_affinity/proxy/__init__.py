"""The operator's side: read, check, render and probe a proxy."""
