"""Emu counts words, and the URL of its list in JSON is the input of the next process."""

import os

from birdy import WPSClient

emu = WPSClient(os.environ["EMU_WPS_URL"])
data = os.environ["DATA_URL"]

words = emu.wordcounter(text=f"{data}/words.txt")
same = emu.non_py_id(input_1=1, input_2=words.get().output)
answer = dict(map(reversed, same.get(asobj=True).output_2))
