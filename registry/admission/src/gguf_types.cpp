#include "gguf_types.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

namespace skerry::registry::gguf {

namespace {

struct ValueRow {
  std::string_view name;
  std::uint64_t bytes;
  bool integer;
};

constexpr std::array<ValueRow, kValueTypes> kValues{{
    {"u8", 1, true},
    {"i8", 1, true},
    {"u16", 2, true},
    {"i16", 2, true},
    {"u32", 4, true},
    {"i32", 4, true},
    {"f32", 4, false},
    {"bool", 1, false},
    {"string", 0, false},
    {"array", 0, false},
    {"u64", 8, true},
    {"i64", 8, true},
    {"f64", 8, false},
}};

// Ids 4, 5, 31 to 33 and 36 to 38 were removed from the format.
constexpr std::array<TensorType, 35> kTensorTypes{{
    {0, "f32", 1, 4},         {1, "f16", 1, 2},         {2, "q4_0", 32, 18},
    {3, "q4_1", 32, 20},      {6, "q5_0", 32, 22},      {7, "q5_1", 32, 24},
    {8, "q8_0", 32, 34},      {9, "q8_1", 32, 36},      {10, "q2_K", 256, 84},
    {11, "q3_K", 256, 110},   {12, "q4_K", 256, 144},   {13, "q5_K", 256, 176},
    {14, "q6_K", 256, 210},   {15, "q8_K", 256, 292},   {16, "iq2_xxs", 256, 66},
    {17, "iq2_xs", 256, 74},  {18, "iq3_xxs", 256, 98}, {19, "iq1_s", 256, 50},
    {20, "iq4_nl", 32, 18},   {21, "iq3_s", 256, 110},  {22, "iq2_s", 256, 82},
    {23, "iq4_xs", 256, 136}, {24, "i8", 1, 1},         {25, "i16", 1, 2},
    {26, "i32", 1, 4},        {27, "i64", 1, 8},        {28, "f64", 1, 8},
    {29, "iq1_m", 256, 56},   {30, "bf16", 1, 2},       {34, "tq1_0", 256, 54},
    {35, "tq2_0", 256, 66},   {39, "mxfp4", 32, 17},    {40, "nvfp4", 64, 36},
    {41, "q1_0", 128, 18},    {42, "q2_0", 64, 18},
}};

const ValueRow& row(ValueType type) {
  return kValues.at(static_cast<std::size_t>(type));
}

}  // namespace

std::uint64_t value_bytes(ValueType type) noexcept {
  return row(type).bytes;
}

std::string_view value_name(ValueType type) noexcept {
  return row(type).name;
}

bool is_integer(ValueType type) noexcept {
  return row(type).integer;
}

const TensorType* find_tensor_type(std::uint32_t id) noexcept {
  const auto* found = std::find_if(
      kTensorTypes.begin(), kTensorTypes.end(), [id](const auto& t) { return t.id == id; });
  return found == kTensorTypes.end() ? nullptr : found;
}

}  // namespace skerry::registry::gguf
