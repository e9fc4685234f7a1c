"""Emu writes a NetCDF file, whose URL is the input of the process that reads its metadata."""

import os

from birdy import WPSClient

emu = WPSClient(os.environ["EMU_WPS_URL"])

formats = emu.output_formats()
metadata = emu.ncmeta(dataset=formats.get().netcdf)
answer = "MIME Type: application/x-netcdf" in metadata.get(asobj=True).output
