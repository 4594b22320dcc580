#pragma once

// ValueInfoProto and TypeProto: name, element type and shape of what a graph takes and gives. Used
// by the ONNX check.

#include <cstdint>

#include "skerry/registry/onnx_check.hpp"

#include "onnx_wire.hpp"

namespace skerry::registry::onnx {

class ValueReader {
 public:
  ValueReader(Wire& wire, const OnnxLimits& limits) : wire_(wire), limits_(limits) {}

  // One ValueInfoProto that ends at `end`. The type stays empty for anything but a plain tensor.
  OnnxValue read(std::uint64_t end);
  // One TypeProto, `depth` types deep.
  void read_type(std::uint64_t end, OnnxValue& value, std::uint64_t depth = 0);

 private:
  void read_tensor_type(std::uint64_t end, OnnxValue& value);
  void read_shape(std::uint64_t end, OnnxValue& value);
  std::int64_t read_dimension(std::uint64_t end);

  Wire& wire_;
  const OnnxLimits& limits_;
};

}  // namespace skerry::registry::onnx
