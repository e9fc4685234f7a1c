"""birdy's client is there, and knows ours."""

import birdy

from pavics_affinity import WPSClient

assert issubclass(WPSClient, birdy.WPSClient)
print("has birdy's client")
