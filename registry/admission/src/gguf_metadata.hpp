#pragma once

// Reads the header and the key-value part of a GGUF file: every value is checked, the few that the
// summary needs are kept. Used by check_gguf.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/registry/gguf_check.hpp"

#include "file_cursor.hpp"
#include "gguf_types.hpp"

namespace skerry::registry::gguf {

// Failures are left in the cursor.
class Metadata {
 public:
  Metadata(FileCursor& cursor, const GgufLimits& limits) : cursor_(cursor), limits_(limits) {}

  // Reads magic, version and counts, then every key.
  void read();

  [[nodiscard]] std::uint32_t version() const { return version_; }
  [[nodiscard]] std::uint64_t tensor_count() const { return tensor_count_; }
  [[nodiscard]] std::uint64_t key_count() const { return key_count_; }
  [[nodiscard]] std::uint64_t alignment() const { return alignment_; }
  [[nodiscard]] std::optional<std::uint64_t> vocabulary() const { return tokens_; }
  [[nodiscard]] const std::optional<Digest>& chat_template() const { return chat_template_; }

  [[nodiscard]] std::string text(std::string_view key) const;
  // An integer that is not negative. A negative one or another type fails the cursor.
  [[nodiscard]] std::optional<std::uint64_t> unsigned_integer(const std::string& key);
  // One value, or one per layer.
  [[nodiscard]] std::vector<std::uint64_t> unsigned_integers(const std::string& key);

 private:
  struct Number {
    ValueType type = ValueType::kU8;
    bool negative = false;
    std::uint64_t magnitude = 0;
  };

  void read_header();
  void read_pair();
  void read_scalar(const std::string& key, ValueType type, std::uint64_t at);
  void read_string(const std::string& key, std::uint64_t at);
  void read_array(const std::string& key, std::uint64_t at);
  void read_numbers(const std::string& key, ValueType type, std::uint64_t count);
  void read_strings(const std::string& key, std::uint64_t count);
  void check_expected_type(const std::string& key, ValueType type, bool array, std::uint64_t at);
  void check_vocabulary();
  Number read_number(ValueType type);
  std::string read_text(std::uint64_t limit, std::string_view what);

  FileCursor& cursor_;
  const GgufLimits& limits_;
  std::uint32_t version_ = 0;
  std::uint64_t tensor_count_ = 0;
  std::uint64_t key_count_ = 0;
  std::uint64_t alignment_ = 32;
  std::set<std::string, std::less<>> keys_;
  std::map<std::string, std::string, std::less<>> texts_;
  std::map<std::string, std::vector<Number>, std::less<>> numbers_;
  std::optional<Digest> chat_template_;
  std::optional<std::uint64_t> tokens_;
  std::optional<std::uint64_t> scores_;
  std::optional<std::uint64_t> token_types_;
  // Per token: written "<0xHH>", and declared to be a byte.
  std::vector<bool> hex_tokens_;
  std::vector<bool> byte_tokens_;
};

}  // namespace skerry::registry::gguf
