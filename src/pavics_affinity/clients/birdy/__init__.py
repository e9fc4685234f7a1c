"""birdy's `WPSClient`, whose every request keeps to the workflow's node."""
