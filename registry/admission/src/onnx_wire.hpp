#pragma once

// Protobuf's wire format, read strictly: no groups, no field zero, no over-long varint, every
// message inside its parent, singular fields once. Keeps the path of the message for errors
// ("graph.node[3].attribute"). Used by the ONNX check.

#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "file_cursor.hpp"

namespace skerry::registry::onnx {

enum class WireType : std::uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct Field {
  std::uint32_t number = 0;
  WireType type = WireType::kVarint;
  // Offset of the tag.
  std::uint64_t at = 0;
};

class Wire {
 public:
  explicit Wire(FileCursor& cursor) : cursor_(cursor) {}

  [[nodiscard]] bool ok() const noexcept { return cursor_.ok(); }
  [[nodiscard]] std::uint64_t position() const noexcept { return cursor_.position(); }
  FileCursor& cursor() noexcept { return cursor_; }

  // Adds a step to the path while it lives.
  class Scope {
   public:
    Scope(Wire& wire, std::string step) : wire_(wire) { wire_.path_.push_back(std::move(step)); }
    ~Scope() { wire_.path_.pop_back(); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Wire& wire_;
  };

  // "<path>: <message>"; the cursor keeps the first failure.
  void fail(std::uint64_t at, std::string_view message);
  void fail_limit(std::uint64_t at, std::string_view message);
  void unknown(const Field& field);

  // The next field of a message that ends at `end`; false at its end and after a failure.
  bool next(std::uint64_t end, Field& field);
  // Fails unless the field has that wire type.
  bool expect(const Field& field, WireType type);

  std::uint64_t varint();
  // A varint field as a signed number.
  std::int64_t integer(const Field& field);
  // Length prefix of a message or string; returns where it ends, at most `end`.
  std::uint64_t open(const Field& field, std::uint64_t end);
  // A string field of at most `limit` bytes: UTF-8 without NUL.
  std::string text(const Field& field, std::uint64_t end, std::uint64_t limit);
  // Steps over a length-delimited field, counted as structure.
  void skip_bytes(const Field& field, std::uint64_t end);

 private:
  [[nodiscard]] std::string with_path(std::string_view message) const;

  FileCursor& cursor_;
  std::vector<std::string> path_;
};

// Remembers which singular fields of one message came.
class Once {
 public:
  // Fails in `wire` when `field` came before.
  void check(Wire& wire, const Field& field);
  [[nodiscard]] bool has(std::uint32_t number) const { return number < 64 && seen_.test(number); }

 private:
  std::bitset<64> seen_;
};

}  // namespace skerry::registry::onnx
