"""Real WPS nodes on loopback, for demonstrations and for anyone's tests."""
