#pragma once

// TensorProto: the storage of a constant, measured against its shape and type. Used by the ONNX
// check.

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/registry/onnx_check.hpp"

#include "onnx_wire.hpp"

namespace skerry::registry::onnx {

struct ElementType {
  std::int64_t id;
  std::string_view name;
  // 0 for strings.
  std::uint64_t bits;
};

// Null for UNDEFINED and unknown ids.
const ElementType* find_element_type(std::int64_t id) noexcept;

struct TensorFacts {
  std::string name;
  std::uint64_t elements = 0;
  std::uint64_t bytes = 0;
};

class TensorReader {
 public:
  TensorReader(Wire& wire, const OnnxLimits& limits) : wire_(wire), limits_(limits) {}

  // Reads one TensorProto that ends at `end`.
  TensorFacts read(std::uint64_t end);

  // Files that tensors named as external data.
  [[nodiscard]] const std::set<std::string>& external_files() const { return external_files_; }

 private:
  struct Storage;
  void read_field(const Field& field, std::uint64_t end, Storage& storage);
  void read_dimensions(const Field& field, std::uint64_t end, Storage& storage);
  void read_packed(const Field& field, std::uint64_t end, Storage& storage);
  void read_external(const Field& field, std::uint64_t end, Storage& storage);
  void check_storage(std::uint64_t at, const Storage& storage, TensorFacts& facts);
  void check_external(std::uint64_t at, const Storage& storage, std::uint64_t bytes);

  Wire& wire_;
  const OnnxLimits& limits_;
  std::set<std::string> external_files_;
};

// A StringStringEntryProto that ends at `end`.
struct StringPair {
  std::string key;
  std::string value;
};
StringPair read_pair(Wire& wire, std::uint64_t end, const OnnxLimits& limits);

}  // namespace skerry::registry::onnx
