#include "onnx_tensor.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <map>
#include <optional>

namespace skerry::registry::onnx {

namespace {

constexpr std::array<ElementType, 26> kElementTypes{{
    {1, "float32", 32},    {2, "uint8", 8},           {3, "int8", 8},
    {4, "uint16", 16},     {5, "int16", 16},          {6, "int32", 32},
    {7, "int64", 64},      {8, "string", 0},          {9, "bool", 8},
    {10, "float16", 16},   {11, "float64", 64},       {12, "uint32", 32},
    {13, "uint64", 64},    {14, "complex64", 64},     {15, "complex128", 128},
    {16, "bfloat16", 16},  {17, "float8e4m3fn", 8},   {18, "float8e4m3fnuz", 8},
    {19, "float8e5m2", 8}, {20, "float8e5m2fnuz", 8}, {21, "uint4", 4},
    {22, "int4", 4},       {23, "float4e2m1", 4},     {24, "float8e8m0", 8},
    {25, "uint2", 2},      {26, "int2", 2},
}};

constexpr auto kMaxBytes =
    static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / 16;

// TensorProto's field numbers.
enum : std::uint32_t {
  kDims = 1,
  kDataType = 2,
  kSegment = 3,
  kFloatData = 4,
  kInt32Data = 5,
  kStringData = 6,
  kInt64Data = 7,
  kName = 8,
  kRawData = 9,
  kDoubleData = 10,
  kUint64Data = 11,
  kDocString = 12,
  kExternalData = 13,
  kDataLocation = 14,
  kMetadata = 16,
};

// The typed field that may hold elements of `type`, and how many of its values make `elements`.
struct TypedField {
  std::uint32_t number;
  std::uint64_t values;
};

TypedField typed_field(const ElementType& type, std::uint64_t elements) {
  switch (type.id) {
    case 1:
      return {kFloatData, elements};
    case 14:
      return {kFloatData, 2 * elements};
    case 11:
      return {kDoubleData, elements};
    case 15:
      return {kDoubleData, 2 * elements};
    case 7:
      return {kInt64Data, elements};
    case 12:
    case 13:
      return {kUint64Data, elements};
    case 8:
      return {kStringData, elements};
    default:
      // Types of less than a byte are packed into bytes, each byte one int32 value.
      return {kInt32Data, type.bits < 8 ? (elements * type.bits + 7) / 8 : elements};
  }
}

bool parse_number(const std::string& text, std::uint64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace

const ElementType* find_element_type(std::int64_t id) noexcept {
  const auto* found = std::find_if(
      kElementTypes.begin(), kElementTypes.end(), [id](const auto& t) { return t.id == id; });
  return found == kElementTypes.end() ? nullptr : found;
}

StringPair read_pair(Wire& wire, std::uint64_t end, const OnnxLimits& limits) {
  StringPair pair;
  Once once;
  Field field;
  while (wire.next(end, field)) {
    once.check(wire, field);
    if (field.number == 1) {
      pair.key = wire.text(field, end, limits.max_name_bytes);
    } else if (field.number == 2) {
      pair.value = wire.text(field, end, limits.max_string_bytes);
    } else {
      wire.unknown(field);
    }
  }
  return pair;
}

struct TensorReader::Storage {
  std::vector<std::int64_t> dims;
  std::int64_t data_type = 0;
  std::string name;
  std::optional<std::uint64_t> raw_bytes;
  // Values per typed field.
  std::map<std::uint32_t, std::uint64_t> values;
  std::uint64_t string_bytes = 0;
  bool external = false;
  std::map<std::string, std::string> external_entries;
};

TensorFacts TensorReader::read(std::uint64_t end) {
  const std::uint64_t at = wire_.position();
  Storage storage;
  Once once;
  Field field;
  while (wire_.next(end, field)) {
    const bool repeated =
        field.number == kDims || field.number == kFloatData || field.number == kInt32Data ||
        field.number == kStringData || field.number == kInt64Data || field.number == kDoubleData ||
        field.number == kUint64Data || field.number == kExternalData || field.number == kMetadata;
    if (!repeated) {
      once.check(wire_, field);
    }
    read_field(field, end, storage);
  }
  TensorFacts facts;
  facts.name = storage.name;
  if (wire_.ok()) {
    check_storage(at, storage, facts);
  }
  return facts;
}

void TensorReader::read_field(const Field& field, std::uint64_t end, Storage& storage) {
  switch (field.number) {
    case kDims:
      read_dimensions(field, end, storage);
      break;
    case kDataType:
      storage.data_type = wire_.integer(field);
      break;
    case kSegment:
      wire_.fail(field.at, "segmented tensors are not admitted");
      break;
    case kFloatData:
    case kInt32Data:
    case kInt64Data:
    case kDoubleData:
    case kUint64Data:
      read_packed(field, end, storage);
      break;
    case kStringData: {
      const std::uint64_t stop = wire_.open(field, end);
      storage.string_bytes += stop - wire_.position();
      ++storage.values[kStringData];
      wire_.cursor().skip(stop - wire_.position());
      break;
    }
    case kName:
      storage.name = wire_.text(field, end, limits_.max_name_bytes);
      break;
    case kRawData: {
      const std::uint64_t stop = wire_.open(field, end);
      storage.raw_bytes = stop - wire_.position();
      wire_.cursor().skip_data(stop - wire_.position());
      break;
    }
    case kDocString:
    case kMetadata:
      wire_.skip_bytes(field, end);
      break;
    case kExternalData:
      read_external(field, end, storage);
      break;
    case kDataLocation: {
      const std::int64_t location = wire_.integer(field);
      if (wire_.ok() && location != 0 && location != 1) {
        wire_.fail(field.at, "data_location " + std::to_string(location) + " is unknown");
      }
      storage.external = location == 1;
      break;
    }
    default:
      wire_.unknown(field);
  }
}

void TensorReader::read_dimensions(const Field& field, std::uint64_t end, Storage& storage) {
  const auto add = [&](std::int64_t value) {
    if (wire_.ok() && storage.dims.size() >= limits_.max_rank) {
      wire_.fail_limit(field.at, "more than " + std::to_string(limits_.max_rank) + " dimensions");
    }
    if (wire_.ok()) {
      storage.dims.push_back(value);
    }
  };
  if (field.type == WireType::kVarint) {
    add(wire_.integer(field));
    return;
  }
  const std::uint64_t stop = wire_.open(field, end);
  while (wire_.ok() && wire_.position() < stop) {
    add(static_cast<std::int64_t>(wire_.varint()));
  }
  if (wire_.ok() && wire_.position() > stop) {
    wire_.fail(field.at, "a packed field reaches beyond its length");
  }
}

void TensorReader::read_packed(const Field& field, std::uint64_t end, Storage& storage) {
  std::uint64_t& count = storage.values[field.number];
  const bool fixed = field.number == kFloatData || field.number == kDoubleData;
  const std::uint64_t width = field.number == kFloatData ? 4 : 8;
  if (field.type != WireType::kBytes) {
    const WireType single = field.number == kFloatData    ? WireType::kFixed32
                            : field.number == kDoubleData ? WireType::kFixed64
                                                          : WireType::kVarint;
    if (wire_.expect(field, single)) {
      ++count;
      if (fixed) {
        wire_.cursor().skip(width);
      } else {
        wire_.varint();
      }
    }
    return;
  }
  const std::uint64_t stop = wire_.open(field, end);
  if (fixed) {
    const std::uint64_t bytes = stop - wire_.position();
    if (bytes % width != 0) {
      wire_.fail(field.at, "packed numbers whose length is no multiple of their width");
    }
    count += bytes / width;
    wire_.cursor().skip_data(bytes);
    return;
  }
  while (wire_.ok() && wire_.position() < stop) {
    wire_.varint();
    ++count;
  }
  if (wire_.ok() && wire_.position() > stop) {
    wire_.fail(field.at, "a packed field reaches beyond its length");
  }
}

void TensorReader::read_external(const Field& field, std::uint64_t end, Storage& storage) {
  const std::uint64_t stop = wire_.open(field, end);
  StringPair pair = read_pair(wire_, stop, limits_);
  if (wire_.ok() && !storage.external_entries.emplace(pair.key, pair.value).second) {
    wire_.fail(field.at, "external_data has '" + pair.key + "' twice");
  }
}

void TensorReader::check_storage(std::uint64_t at, const Storage& storage, TensorFacts& facts) {
  const std::string label = "tensor '" + storage.name + "'";
  const ElementType* type = find_element_type(storage.data_type);
  if (type == nullptr) {
    wire_.fail(at, label + " has the unknown data type " + std::to_string(storage.data_type));
    return;
  }
  std::uint64_t elements = 1;
  for (const std::int64_t dim : storage.dims) {
    if (dim < 0 || __builtin_mul_overflow(elements, static_cast<std::uint64_t>(dim), &elements) ||
        elements > kMaxBytes) {
      wire_.fail(at, label + " has a negative dimension or is too large");
      return;
    }
  }
  // elements <= 2^59: no product below overflows.
  const std::uint64_t bytes =
      type->bits >= 8 ? elements * (type->bits / 8) : (elements * type->bits + 7) / 8;
  facts.elements = elements;
  facts.bytes = type->bits == 0 ? storage.string_bytes : bytes;

  const TypedField typed = typed_field(*type, elements);
  std::uint64_t foreign = 0;
  for (const auto& [number, count] : storage.values) {
    foreign += number == typed.number ? 0 : count;
  }
  const auto own = storage.values.find(typed.number);
  const std::uint64_t typed_count = own == storage.values.end() ? 0 : own->second;
  if (foreign != 0) {
    wire_.fail(at,
               label + " holds data in a field of another type than " + std::string{type->name});
    return;
  }
  if (!storage.external && !storage.external_entries.empty()) {
    wire_.fail(at, label + " has external_data but is not stored outside");
    return;
  }
  if (storage.external) {
    if (storage.raw_bytes || typed_count != 0 || type->bits == 0) {
      wire_.fail(at, label + " is stored both outside and inside the model");
      return;
    }
    check_external(at, storage, bytes);
  } else if (storage.raw_bytes) {
    if (typed_count != 0 || type->bits == 0 || *storage.raw_bytes != bytes) {
      wire_.fail(at,
                 label + " has " + std::to_string(*storage.raw_bytes) +
                     " bytes of raw data, its shape and type need " + std::to_string(bytes));
    }
  } else if (typed_count != typed.values) {
    wire_.fail(at,
               label + " has " + std::to_string(typed_count) + " values, its shape and type need " +
                   std::to_string(typed.values));
  }
}

// Paths in external data were a hole three times (CVE-2022-25882, -2024-27318, -2026-27489), so a
// location is one of the names that the signed manifest lists, and nothing else.
void TensorReader::check_external(std::uint64_t at, const Storage& storage, std::uint64_t bytes) {
  const std::string label = "tensor '" + storage.name + "'";
  std::uint64_t offset = 0;
  std::uint64_t length = bytes;
  std::string location;
  for (const auto& [key, value] : storage.external_entries) {
    if (key == "location") {
      location = value;
    } else if (key == "offset" || key == "length") {
      std::uint64_t& target = key == "offset" ? offset : length;
      if (!parse_number(value, target)) {
        wire_.fail(at, label + ": external_data " + key + " is not a number");
        return;
      }
    } else if (key != "checksum") {
      wire_.fail(at, label + ": external_data has the unknown key '" + key + "'");
      return;
    }
  }
  if (location.empty() || location.front() == '.' ||
      location.find_first_of("/\\:") != std::string::npos) {
    wire_.fail(at, label + ": external_data location is not a plain file name");
    return;
  }
  const auto file = limits_.external_files.find(location);
  if (file == limits_.external_files.end()) {
    wire_.fail(
        at, label + ": external_data names '" + location + "', which the manifest does not list");
    return;
  }
  if (length != bytes) {
    wire_.fail(at,
               label + ": external_data has " + std::to_string(length) +
                   " bytes, its shape and type need " + std::to_string(bytes));
    return;
  }
  if (offset > file->second || length > file->second - offset) {
    wire_.fail(at,
               label + ": external_data reaches beyond the " + std::to_string(file->second) +
                   " bytes of '" + location + "'");
    return;
  }
  external_files_.insert(location);
}

}  // namespace skerry::registry::onnx
