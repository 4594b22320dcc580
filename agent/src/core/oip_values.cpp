#include "oip_values.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

namespace skerry::agent::oip {
namespace {

Error bad_element(std::string_view problem) {
  return Error{Error::Code::kInvalidArgument, std::string{problem}};
}

template <class Wire>
void append_wire(Wire value, std::string& out) {
  std::array<char, sizeof(Wire)> bytes{};
  std::memcpy(bytes.data(), &value, bytes.size());
  out.append(bytes.data(), bytes.size());
}

template <class Wire>
Result<void> pack_one(const Json& element, std::string& out) {
  if constexpr (std::is_floating_point_v<Wire>) {
    Result<double> number = element.as_number();
    if (!number) {
      return bad_element("an element is no number");
    }
    append_wire(static_cast<Wire>(*number), out);
  } else {
    Result<std::int64_t> number = element.as_int();
    // JSON's whole numbers are 64-bit with a sign here, so the upper half of UINT64 is binary only.
    if (!number || !std::in_range<Wire>(*number)) {
      return bad_element("an element is no whole number of this type");
    }
    append_wire(static_cast<Wire>(*number), out);
  }
  return {};
}

Result<void> pack_bool(const Json& element, std::string& out) {
  if (element.is_bool()) {
    out += element == Json{true} ? '\1' : '\0';
    return {};
  }
  Result<std::int64_t> number = element.as_int();
  if (!number || (*number != 0 && *number != 1)) {
    return bad_element("an element is neither true nor false");
  }
  out += *number == 1 ? '\1' : '\0';
  return {};
}

Result<void> pack_text(const Json& element, std::string& out) {
  if (element.string() == nullptr) {
    return bad_element("an element is no string");
  }
  append_wire(static_cast<std::uint32_t>(element.string()->size()), out);
  out += *element.string();
  return {};
}

using PackOne = Result<void> (*)(const Json&, std::string&);

template <class Wire>
Result<void> write_elements(std::string_view data, std::string& out) {
  std::array<char, 32> text{};
  for (std::size_t at = 0; at + sizeof(Wire) <= data.size(); at += sizeof(Wire)) {
    Wire value{};
    std::memcpy(&value, data.data() + at, sizeof value);
    if constexpr (std::is_floating_point_v<Wire>) {
      if (!std::isfinite(value)) {
        return Error{Error::Code::kFailedPrecondition,
                     "it holds numbers that are not finite, which JSON cannot say"};
      }
    }
    const auto end = std::to_chars(text.data(), text.data() + text.size(), value);
    out += at == 0 ? "" : ",";
    out.append(text.data(), end.ptr);
  }
  return {};
}

Result<void> write_bools(std::string_view data, std::string& out) {
  for (std::size_t i = 0; i < data.size(); ++i) {
    out += i == 0 ? "" : ",";
    out += data[i] != 0 ? "true" : "false";
  }
  return {};
}

Result<void> write_texts(std::string_view data, std::string& out) {
  bool first = true;
  while (data.size() >= sizeof(std::uint32_t)) {
    std::uint32_t length = 0;
    std::memcpy(&length, data.data(), sizeof length);
    data.remove_prefix(sizeof length);
    const std::string_view text = data.substr(0, length);
    data.remove_prefix(text.size());
    out += first ? "" : ",";
    out += Json{text}.dump();
    first = false;
  }
  return {};
}

using WriteAll = Result<void> (*)(std::string_view, std::string&);

struct TypeRow {
  std::string_view name;
  PackOne pack;
  WriteAll write;
};

constexpr std::array<TypeRow, 12> kTypes{
    {{"BOOL", pack_bool, write_bools},
     {"UINT8", pack_one<std::uint8_t>, write_elements<std::uint8_t>},
     {"UINT16", pack_one<std::uint16_t>, write_elements<std::uint16_t>},
     {"UINT32", pack_one<std::uint32_t>, write_elements<std::uint32_t>},
     {"UINT64", pack_one<std::uint64_t>, write_elements<std::uint64_t>},
     {"INT8", pack_one<std::int8_t>, write_elements<std::int8_t>},
     {"INT16", pack_one<std::int16_t>, write_elements<std::int16_t>},
     {"INT32", pack_one<std::int32_t>, write_elements<std::int32_t>},
     {"INT64", pack_one<std::int64_t>, write_elements<std::int64_t>},
     {"FP32", pack_one<float>, write_elements<float>},
     {"FP64", pack_one<double>, write_elements<double>},
     {"BYTES", pack_text, write_texts}}};

const TypeRow* find_type(std::string_view name) {
  for (const TypeRow& row : kTypes) {
    if (row.name == name) {
      return &row;
    }
  }
  return nullptr;
}

Error binary_only(std::string_view datatype, Error::Code code) {
  const bool half = datatype == "FP16" || datatype == "BF16";
  return Error{code,
               half ? std::string{datatype} + " has a binary form only"
                    : "\"" + std::string{datatype} + "\" is no datatype of the protocol"};
}

// The parser bounds the depth of `data`.
Result<void> pack_nested(const Json& data, PackOne pack, std::string& out) {
  if (data.array() == nullptr) {
    return pack(data, out);
  }
  for (const Json& entry : *data.array()) {
    if (Result<void> done = pack_nested(entry, pack, out); !done) {
      return done;
    }
  }
  return {};
}

}  // namespace

Result<void> pack_elements(const Json& data, std::string_view datatype, std::string& out) {
  const TypeRow* row = find_type(datatype);
  if (row == nullptr) {
    return binary_only(datatype, Error::Code::kInvalidArgument);
  }
  if (data.array() == nullptr) {
    return bad_element("data must be an array");
  }
  return pack_nested(data, row->pack, out);
}

Result<std::string> elements_text(std::string_view data, std::string_view datatype) {
  const TypeRow* row = find_type(datatype);
  if (row == nullptr) {
    return binary_only(datatype, Error::Code::kFailedPrecondition);
  }
  std::string text{"["};
  if (Result<void> done = row->write(data, text); !done) {
    return done.error();
  }
  return text + "]";
}

}  // namespace skerry::agent::oip
