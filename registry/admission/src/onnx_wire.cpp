#include "onnx_wire.hpp"

#include "skerry/common/bytes.hpp"

namespace skerry::registry::onnx {

std::string Wire::with_path(std::string_view message) const {
  std::string out;
  for (const auto& step : path_) {
    if (!out.empty()) {
      out += '.';
    }
    out += step;
  }
  if (!out.empty()) {
    out += ": ";
  }
  out += message;
  return out;
}

void Wire::fail(std::uint64_t at, std::string_view message) {
  if (ok()) {
    cursor_.fail_at(at, with_path(message));
  }
}

void Wire::fail_limit(std::uint64_t at, std::string_view message) {
  if (ok()) {
    cursor_.fail_limit(at, with_path(message));
  }
}

void Wire::unknown(const Field& field) {
  fail(field.at, "unknown field " + std::to_string(field.number));
}

std::uint64_t Wire::varint() {
  const std::uint64_t at = position();
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const std::uint8_t byte = cursor_.u8();
    if (!ok()) {
      return 0;
    }
    if (shift == 63 && byte > 1) {
      break;
    }
    value |= static_cast<std::uint64_t>(byte & 0x7fU) << shift;
    if ((byte & 0x80U) == 0) {
      return value;
    }
  }
  fail(at, "a number of more than 64 bits");
  return 0;
}

bool Wire::next(std::uint64_t end, Field& field) {
  if (!ok()) {
    return false;
  }
  if (position() >= end) {
    if (position() > end) {
      fail(position(), "a field reaches beyond its message");
    }
    return false;
  }
  field.at = position();
  const std::uint64_t tag = varint();
  const auto type = static_cast<std::uint32_t>(tag & 7U);
  if (!ok()) {
    return false;
  }
  if (type != 0 && type != 1 && type != 2 && type != 5) {
    fail(field.at, "wire type " + std::to_string(type) + " is not admitted");
    return false;
  }
  if ((tag >> 3U) == 0 || (tag >> 3U) > 536870911U) {
    fail(field.at, "a field number out of range");
    return false;
  }
  field.number = static_cast<std::uint32_t>(tag >> 3U);
  field.type = static_cast<WireType>(type);
  return true;
}

bool Wire::expect(const Field& field, WireType type) {
  if (ok() && field.type != type) {
    fail(field.at,
         "field " + std::to_string(field.number) + " has wire type " +
             std::to_string(static_cast<std::uint32_t>(field.type)) + ", expected " +
             std::to_string(static_cast<std::uint32_t>(type)));
  }
  return ok();
}

std::int64_t Wire::integer(const Field& field) {
  if (!expect(field, WireType::kVarint)) {
    return 0;
  }
  return static_cast<std::int64_t>(varint());
}

std::uint64_t Wire::open(const Field& field, std::uint64_t end) {
  if (!expect(field, WireType::kBytes)) {
    return position();
  }
  const std::uint64_t length = varint();
  if (ok() && (position() > end || length > end - position())) {
    fail(field.at,
         "field " + std::to_string(field.number) + " of " + std::to_string(length) +
             " bytes reaches beyond its message");
  }
  return ok() ? position() + length : position();
}

std::string Wire::text(const Field& field, std::uint64_t end, std::uint64_t limit) {
  const std::uint64_t stop = open(field, end);
  const std::uint64_t length = stop - position();
  if (length > limit) {
    fail_limit(field.at,
               "field " + std::to_string(field.number) + " has " + std::to_string(length) +
                   " bytes, at most " + std::to_string(limit));
  }
  std::string value = cursor_.text(length);
  if (ok() && (value.find('\0') != std::string::npos || !is_utf8(value))) {
    fail(field.at, "field " + std::to_string(field.number) + " is not UTF-8 text without NUL");
  }
  return value;
}

void Wire::skip_bytes(const Field& field, std::uint64_t end) {
  const std::uint64_t stop = open(field, end);
  if (ok()) {
    cursor_.skip(stop - position());
  }
}

void Once::check(Wire& wire, const Field& field) {
  if (field.number >= seen_.size()) {
    return;
  }
  if (seen_.test(field.number)) {
    wire.fail(field.at, "field " + std::to_string(field.number) + " occurs twice");
  }
  seen_.set(field.number);
}

}  // namespace skerry::registry::onnx
