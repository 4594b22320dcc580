#include "gguf_metadata.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "skerry/common/bytes.hpp"

namespace skerry::registry::gguf {

namespace {

constexpr std::uint64_t kMinAlignment = 32;
constexpr std::uint64_t kMaxAlignment = 4096;
constexpr std::uint64_t kByteToken = 6;  // llama.cpp's token type for "<0xHH>"

struct Expected {
  std::string_view key;
  ValueType type;
  bool array;
};

// Keys whose type engines take for granted. A confusion of types is where loaders broke.
constexpr std::array<Expected, 17> kExpected{{
    {"general.architecture", ValueType::kString, false},
    {"general.type", ValueType::kString, false},
    {"general.name", ValueType::kString, false},
    {"general.license", ValueType::kString, false},
    {"general.alignment", ValueType::kU32, false},
    {"general.file_type", ValueType::kU32, false},
    {"general.quantization_version", ValueType::kU32, false},
    {"tokenizer.ggml.model", ValueType::kString, false},
    {"tokenizer.ggml.pre", ValueType::kString, false},
    {"tokenizer.ggml.tokens", ValueType::kString, true},
    {"tokenizer.ggml.merges", ValueType::kString, true},
    {"tokenizer.ggml.added_tokens", ValueType::kString, true},
    {"tokenizer.ggml.scores", ValueType::kF32, true},
    {"tokenizer.ggml.token_type", ValueType::kI32, true},
    {"tokenizer.chat_template", ValueType::kString, false},
    {"split.no", ValueType::kU16, false},
    {"split.count", ValueType::kU16, false},
}};

bool is_key_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '.';
}

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool is_byte_spelling(std::string_view token) {
  return token.size() == 6 && token.starts_with("<0x") && is_hex(token[3]) && is_hex(token[4]) &&
         token[5] == '>';
}

std::string in_quotes(std::string_view key) {
  return "'" + std::string{key} + "'";
}

}  // namespace

void Metadata::read() {
  read_header();
  for (std::uint64_t i = 0; i < key_count_ && cursor_.ok(); ++i) {
    read_pair();
  }
  if (cursor_.ok()) {
    check_vocabulary();
  }
}

void Metadata::read_header() {
  std::array<std::uint8_t, 4> magic{};
  cursor_.read(magic);
  if (cursor_.ok() && as_text(magic) != "GGUF") {
    cursor_.fail_at(0, "not a GGUF file: the magic is missing");
  }
  version_ = cursor_.u32();
  if (!cursor_.ok()) {
    return;
  }
  if ((version_ & 0xffffU) == 0) {
    cursor_.fail_at(4, "a big-endian file; convert it to little-endian");
  } else if (version_ != 2 && version_ != 3) {
    cursor_.fail_at(4, "version " + std::to_string(version_) + "; 2 and 3 are admitted");
  }
  tensor_count_ = cursor_.u64();
  key_count_ = cursor_.u64();
  if (tensor_count_ > limits_.max_tensors) {
    cursor_.fail_limit(
        8,
        std::to_string(tensor_count_) + " tensors, at most " + std::to_string(limits_.max_tensors));
  }
  if (key_count_ > limits_.max_keys) {
    cursor_.fail_limit(
        16, std::to_string(key_count_) + " keys, at most " + std::to_string(limits_.max_keys));
  }
}

std::string Metadata::read_text(std::uint64_t limit, std::string_view what) {
  const std::uint64_t at = cursor_.position();
  const std::uint64_t length = cursor_.u64();
  if (cursor_.ok() && length > limit) {
    // A length that is not even in the file is damage rather than size.
    const std::string message = std::string{what} + " of " + std::to_string(length) +
                                " bytes, at most " + std::to_string(limit);
    if (length > cursor_.remaining()) {
      cursor_.fail_at(at, "truncated: " + message);
    } else {
      cursor_.fail_limit(at, message);
    }
  }
  return cursor_.text(length);
}

void Metadata::read_pair() {
  const std::uint64_t at = cursor_.position();
  std::string key = read_text(limits_.max_key_bytes, "a key");
  if (!cursor_.ok()) {
    return;
  }
  if (key.empty() || !std::all_of(key.begin(), key.end(), is_key_character)) {
    cursor_.fail_at(at, "a key with characters other than letters, digits, '_', '-' and '.'");
    return;
  }
  if (!keys_.insert(key).second) {
    cursor_.fail_at(at, "key " + in_quotes(key) + " occurs twice");
    return;
  }
  const std::uint32_t type = cursor_.u32();
  if (cursor_.ok() && type >= kValueTypes) {
    cursor_.fail_at(cursor_.position() - 4,
                    "key " + in_quotes(key) + " has the unknown type " + std::to_string(type));
  }
  if (!cursor_.ok()) {
    return;
  }
  const auto value_type = static_cast<ValueType>(type);
  if (value_type == ValueType::kArray) {
    read_array(key, at);
  } else {
    check_expected_type(key, value_type, false, at);
    read_scalar(key, value_type, at);
  }
}

void Metadata::check_expected_type(const std::string& key,
                                   ValueType type,
                                   bool array,
                                   std::uint64_t at) {
  const auto* row = std::find_if(
      kExpected.begin(), kExpected.end(), [&key](const Expected& e) { return e.key == key; });
  if (row != kExpected.end() && (row->type != type || row->array != array)) {
    const auto spell = [](ValueType t, bool is_array) {
      return std::string{is_array ? "an array of " : ""} + std::string{value_name(t)};
    };
    cursor_.fail_at(at,
                    "key " + in_quotes(key) + " is " + spell(type, array) + ", expected " +
                        spell(row->type, row->array));
  }
}

Metadata::Number Metadata::read_number(ValueType type) {
  std::array<std::uint8_t, 8> bytes{};
  const auto width = static_cast<std::size_t>(value_bytes(type));
  cursor_.read(std::span{bytes.data(), width});
  std::uint64_t raw = 0;
  for (std::size_t i = width; i > 0; --i) {
    raw = (raw << 8U) | bytes[i - 1];
  }
  Number number{type, false, raw};
  const bool is_signed = type == ValueType::kI8 || type == ValueType::kI16 ||
                         type == ValueType::kI32 || type == ValueType::kI64;
  const std::uint64_t sign = std::uint64_t{1} << (8 * width - 1);
  if (is_signed && (raw & sign) != 0) {
    number.negative = true;
    number.magnitude = sign - (raw & (sign - 1));
  }
  return number;
}

void Metadata::read_scalar(const std::string& key, ValueType type, std::uint64_t at) {
  if (type == ValueType::kString) {
    read_string(key, at);
    return;
  }
  const Number number = read_number(type);
  if (!cursor_.ok()) {
    return;
  }
  if (type == ValueType::kBool && number.magnitude > 1) {
    cursor_.fail_at(at, "key " + in_quotes(key) + " is a bool that is neither 0 nor 1");
  }
  if ((type == ValueType::kF32 &&
       !std::isfinite(std::bit_cast<float>(static_cast<std::uint32_t>(number.magnitude)))) ||
      (type == ValueType::kF64 && !std::isfinite(std::bit_cast<double>(number.magnitude)))) {
    cursor_.fail_at(at, "key " + in_quotes(key) + " is not a finite number");
  }
  if (is_integer(type)) {
    numbers_[key] = {number};
  }
  if (key == "general.alignment") {
    if (!std::has_single_bit(number.magnitude) || number.magnitude < kMinAlignment ||
        number.magnitude > kMaxAlignment) {
      cursor_.fail_at(at,
                      "general.alignment is " + std::to_string(number.magnitude) +
                          ", expected a power of two from 32 to 4096");
    } else {
      alignment_ = number.magnitude;
    }
  }
}

void Metadata::read_string(const std::string& key, std::uint64_t at) {
  std::string value = read_text(limits_.max_string_bytes, "key " + in_quotes(key) + ": a string");
  if (!cursor_.ok()) {
    return;
  }
  if (value.find('\0') != std::string::npos || !is_utf8(value)) {
    cursor_.fail_at(at, "key " + in_quotes(key) + " is not UTF-8 text without NUL");
    return;
  }
  if (key == "tokenizer.chat_template") {
    chat_template_ = Digest::of(value);
  } else if (key.starts_with("general.") || key == "tokenizer.ggml.model") {
    texts_.emplace(key, std::move(value));
  }
}

void Metadata::read_array(const std::string& key, std::uint64_t at) {
  const std::uint32_t type = cursor_.u32();
  const std::uint64_t count = cursor_.u64();
  if (!cursor_.ok()) {
    return;
  }
  if (type >= kValueTypes) {
    cursor_.fail_at(
        at, "key " + in_quotes(key) + " has the unknown element type " + std::to_string(type));
    return;
  }
  const auto element = static_cast<ValueType>(type);
  if (element == ValueType::kArray) {
    cursor_.fail_at(at, "key " + in_quotes(key) + " is an array of arrays, which is not admitted");
    return;
  }
  check_expected_type(key, element, true, at);
  if (count > limits_.max_array_elements) {
    cursor_.fail_limit(at,
                       "key " + in_quotes(key) + " has " + std::to_string(count) +
                           " elements, at most " + std::to_string(limits_.max_array_elements));
    return;
  }
  if (!cursor_.ok()) {
    return;
  }
  if (key == "tokenizer.ggml.scores") {
    scores_ = count;
  } else if (key == "tokenizer.ggml.token_type") {
    token_types_ = count;
    byte_tokens_.assign(static_cast<std::size_t>(count), false);
  } else if (key == "tokenizer.ggml.tokens") {
    tokens_ = count;
    hex_tokens_.assign(static_cast<std::size_t>(count), false);
  }
  if (element == ValueType::kString) {
    read_strings(key, count);
  } else {
    read_numbers(key, element, count);
  }
}

void Metadata::read_numbers(const std::string& key, ValueType type, std::uint64_t count) {
  const bool token_types = key == "tokenizer.ggml.token_type";
  const bool per_layer = is_integer(type) && count <= limits_.max_block_count;
  if (!token_types && !per_layer) {
    cursor_.skip(count * value_bytes(type));  // count <= 2^21: no overflow
    return;
  }
  std::vector<Number> values;
  for (std::uint64_t i = 0; i < count && cursor_.ok(); ++i) {
    const Number number = read_number(type);
    if (token_types) {
      byte_tokens_[static_cast<std::size_t>(i)] =
          !number.negative && number.magnitude == kByteToken;
    } else {
      values.push_back(number);
    }
  }
  if (!token_types) {
    numbers_[key] = std::move(values);
  }
}

void Metadata::read_strings(const std::string& key, std::uint64_t count) {
  const bool tokens = key == "tokenizer.ggml.tokens";
  for (std::uint64_t i = 0; i < count && cursor_.ok(); ++i) {
    const std::uint64_t at = cursor_.position();
    const std::string value =
        read_text(limits_.max_string_bytes, "key " + in_quotes(key) + ": a string");
    if (value.find('\0') != std::string::npos) {
      cursor_.fail_at(at,
                      "element " + std::to_string(i) + " of " + in_quotes(key) + " contains NUL");
    }
    if (tokens && cursor_.ok()) {
      hex_tokens_[static_cast<std::size_t>(i)] = is_byte_spelling(value);
    }
  }
}

void Metadata::check_vocabulary() {
  if (!tokens_) {
    if (scores_ || token_types_) {
      cursor_.fail("tokenizer.ggml.scores or token_type without tokenizer.ggml.tokens");
    }
    return;
  }
  const auto same = [this](const std::optional<std::uint64_t>& count, std::string_view key) {
    if (count && *count != *tokens_) {
      cursor_.fail(std::string{key} + " has " + std::to_string(*count) + " elements for " +
                   std::to_string(*tokens_) + " tokens");
    }
  };
  same(scores_, "tokenizer.ggml.scores");
  same(token_types_, "tokenizer.ggml.token_type");
  for (std::size_t i = 0; cursor_.ok() && i < byte_tokens_.size(); ++i) {
    if (byte_tokens_[i] && !hex_tokens_[i]) {
      cursor_.fail("token " + std::to_string(i) + " is declared a byte but is not written <0xHH>");
    }
  }
  for (const auto& [key, values] : numbers_) {
    // -1 says "none" in files of some converters.
    if (key.starts_with("tokenizer.ggml.") && key.ends_with("_token_id") && values.size() == 1 &&
        !values.front().negative && values.front().magnitude >= *tokens_ &&
        values.front().magnitude != 0xffffffffU) {
      cursor_.fail("key " + in_quotes(key) + " is " + std::to_string(values.front().magnitude) +
                   " in a vocabulary of " + std::to_string(*tokens_));
    }
  }
}

std::string Metadata::text(std::string_view key) const {
  const auto found = texts_.find(key);
  return found == texts_.end() ? std::string{} : found->second;
}

std::optional<std::uint64_t> Metadata::unsigned_integer(const std::string& key) {
  const auto values = unsigned_integers(key);
  if (values.empty()) {
    return std::nullopt;
  }
  return *std::max_element(values.begin(), values.end());
}

std::vector<std::uint64_t> Metadata::unsigned_integers(const std::string& key) {
  std::vector<std::uint64_t> out;
  const auto found = numbers_.find(key);
  if (found == numbers_.end()) {
    if (keys_.contains(key)) {
      cursor_.fail("key " + in_quotes(key) + " is not an integer");
    }
    return out;
  }
  for (const Number& number : found->second) {
    if (number.negative) {
      cursor_.fail("key " + in_quotes(key) + " is negative");
    }
    out.push_back(number.magnitude);
  }
  return out;
}

}  // namespace skerry::registry::gguf
