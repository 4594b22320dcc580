#pragma once

// Tensors as people write them, in the Open Inference Protocol's JSON form. Used by `skerry infer`.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/json.hpp"
#include "skerry/common/result.hpp"

namespace skerry::cli {

struct TensorValue {
  std::string name;
  // "FP32", "INT64", …
  std::string datatype;
  std::vector<std::int64_t> shape;
  // Little-endian, row-major.
  std::string data;
};

// {"shape": [1,2], "datatype": "FP32", "data": [0.5, 1]}; "data" may be nested like the shape.
// kParse or kInvalidArgument says which member is wrong. BYTES and half-precision types are not
// written in JSON.
Result<TensorValue> parse_tensor(std::string name, std::string_view json);

// The same form, with "name". kUnimplemented for BYTES, kSizeMismatch if the data does not fit the
// type.
Result<Json> tensor_to_json(const TensorValue& tensor);

}  // namespace skerry::cli
