#!/usr/bin/env python3
"""Takes the first case of a tensor golden set: writes its input as a tensor file, prints its expected class."""
import json
import sys

golden = json.load(open(sys.argv[1], encoding="utf-8"))
case = golden["cases"][0]
tensor = case["inputs"][0]
json.dump({"shape": tensor["shape"], "datatype": tensor.get("datatype", "FP32"), "data": tensor["data"]},
          open(sys.argv[2], "w", encoding="utf-8"))
print(case["expect_class"])
