#pragma once

// Builds ONNX (protobuf) bytes field by field, right or wrong on purpose, without a protobuf
// library. The functions give the body of one message; `Proto` concatenates fields.

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace skerry::test {

class Proto {
 public:
  Proto& varint(std::uint32_t field, std::uint64_t value) {
    number((field << 3U) | 0U);
    number(value);
    return *this;
  }
  Proto& bytes(std::uint32_t field, std::string_view value) {
    number((field << 3U) | 2U);
    number(value.size());
    bytes_ += value;
    return *this;
  }
  Proto& message(std::uint32_t field, const Proto& value) { return bytes(field, value.bytes_); }
  Proto& float32(std::uint32_t field, float value) {
    number((field << 3U) | 5U);
    const auto raw = std::bit_cast<std::uint32_t>(value);
    for (unsigned i = 0; i < 4; ++i) {
      bytes_.push_back(static_cast<char>((raw >> (8 * i)) & 0xffU));
    }
    return *this;
  }
  // Bytes as they are.
  Proto& raw(std::string_view value) {
    bytes_ += value;
    return *this;
  }
  [[nodiscard]] const std::string& str() const { return bytes_; }

 private:
  void number(std::uint64_t value) {
    while (value >= 0x80U) {
      bytes_.push_back(static_cast<char>((value & 0x7fU) | 0x80U));
      value >>= 7U;
    }
    bytes_.push_back(static_cast<char>(value));
  }
  std::string bytes_;
};

// TensorProto with raw data.
inline Proto onnx_tensor(std::string_view name,
                         const std::vector<std::int64_t>& dims,
                         std::uint64_t type,
                         std::string_view raw) {
  Proto out;
  for (const auto dim : dims) {
    out.varint(1, static_cast<std::uint64_t>(dim));
  }
  return out.varint(2, type).bytes(8, name).bytes(9, raw);
}

inline std::string float_bytes(const std::vector<float>& values) {
  std::string out;
  for (const float value : values) {
    const auto raw = std::bit_cast<std::uint32_t>(value);
    for (unsigned i = 0; i < 4; ++i) {
      out.push_back(static_cast<char>((raw >> (8 * i)) & 0xffU));
    }
  }
  return out;
}

// ValueInfoProto of a tensor; -1 gives a named dimension.
inline Proto onnx_value(std::string_view name,
                        std::uint64_t type,
                        const std::vector<std::int64_t>& dims) {
  Proto shape;
  for (const auto dim : dims) {
    Proto one;
    if (dim < 0) {
      one.bytes(2, "N");
    } else {
      one.varint(1, static_cast<std::uint64_t>(dim));
    }
    shape.message(1, one);
  }
  return Proto{}.bytes(1, name).message(
      2, Proto{}.message(1, Proto{}.varint(1, type).message(2, shape)));
}

inline Proto onnx_node(std::string_view type,
                       const std::vector<std::string>& inputs,
                       const std::vector<std::string>& outputs,
                       const Proto& rest = {}) {
  Proto out;
  for (const auto& input : inputs) {
    out.bytes(1, input);
  }
  for (const auto& output : outputs) {
    out.bytes(2, output);
  }
  return out.bytes(4, type).raw(rest.str());
}

inline Proto onnx_opset(std::string_view domain, std::uint64_t version) {
  return Proto{}.bytes(1, domain).varint(2, version);
}

// ModelProto around a graph's fields.
inline std::string onnx_model(const Proto& graph, const Proto& rest = {}) {
  return Proto{}
      .varint(1, 8)
      .bytes(2, "test")
      .message(7, graph)
      .message(8, onnx_opset("", 13))
      .raw(rest.str())
      .str();
}

// y[N,2] = relu(x[N,3] · w[3,2])
inline Proto onnx_small_graph() {
  return Proto{}
      .bytes(2, "g")
      .message(1, onnx_node("MatMul", {"x", "w"}, {"h"}))
      .message(1, onnx_node("Relu", {"h"}, {"y"}))
      .message(5, onnx_tensor("w", {3, 2}, 1, float_bytes({1, -2, 3, -4, 5, -6})))
      .message(11, onnx_value("x", 1, {-1, 3}))
      .message(12, onnx_value("y", 1, {-1, 2}));
}

inline std::string onnx_small_model() {
  return onnx_model(onnx_small_graph());
}

}  // namespace skerry::test
