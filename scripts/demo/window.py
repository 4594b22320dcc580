#!/usr/bin/env python3
"""Takes the first case of a tensor golden set: writes its input as a tensor file, prints its expected class."""
import json
import sys

golden = json.load(open(sys.argv[1], encoding="utf-8"))
case = golden["cases"][0]
json.dump({"shape": golden["shape"], "datatype": "FP32", "data": [value * golden["scale"] for value in case["values"]]},
          open(sys.argv[2], "w", encoding="utf-8"))
print(golden["classes"].index(case["expect"]))
