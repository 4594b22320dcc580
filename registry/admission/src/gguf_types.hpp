#pragma once

// The tables of GGUF: value types, and ggml's tensor types with their block sizes. Used by the GGUF
// check.

#include <cstdint>
#include <optional>
#include <string_view>

namespace skerry::registry::gguf {

enum class ValueType : std::uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

constexpr std::uint32_t kValueTypes = 13;

// Bytes of one value; 0 for strings and arrays.
std::uint64_t value_bytes(ValueType type) noexcept;
std::string_view value_name(ValueType type) noexcept;
bool is_integer(ValueType type) noexcept;

struct TensorType {
  std::uint32_t id;
  std::string_view name;
  std::uint64_t block_elements;
  std::uint64_t block_bytes;
};

// Null for an id that is unknown or was removed from the format.
const TensorType* find_tensor_type(std::uint32_t id) noexcept;

}  // namespace skerry::registry::gguf
