"""Emu makes a text and a NetCDF file, whose URLs are inputs of a process that copies them."""

import os

from birdy import WPSClient

emu = WPSClient(os.environ["EMU_WPS_URL"])

text = emu.chomsky(times=3)
files = emu.output_formats()
copies = emu.inout(text=text.get().output, dataset=files.get().netcdf).get(asobj=True)
answer = [
    copies.text == text.get(asobj=True).output,
    copies.dataset.identical(files.get(asobj=True).netcdf),
]
