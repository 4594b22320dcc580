#!/usr/bin/env python3
"""make_model.py FILE: a model for the dense plugin. Of a room's temperature (degrees Celsius) and its change (degrees an hour) it says
whether it is cold, fine or hot; the change counts as if it had gone on for two hours.
"""
import struct
import sys

WEIGHTS = [(-1.0, -2.0), (0.0, 0.0), (1.0, 2.0)]
BIASES = [17.0, 0.0, -27.0]  # cold below 17, hot above 27

with open(sys.argv[1], "wb") as file:
    file.write(b"DENSE001" + struct.pack("<II", 2, 3))
    for row in WEIGHTS:
        file.write(struct.pack("<2f", *row))
    file.write(struct.pack("<3f", *BIASES))
