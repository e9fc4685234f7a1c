"""The pytest plugin: fixtures that come with the package."""
