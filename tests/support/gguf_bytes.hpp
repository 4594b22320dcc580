#pragma once

// Builds GGUF bytes piece by piece, right or wrong on purpose. `GgufBytes::small_model()` is a
// well-formed one to start from. For parsers' tests; the content is not a model that runs.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace skerry::test {

class GgufBytes {
 public:
  struct Tensor {
    std::string name;
    std::vector<std::uint64_t> dims;
    std::uint32_t type = 0;
    std::uint64_t offset = 0;
  };

  std::uint32_t version = 3;
  std::string magic = "GGUF";
  std::uint64_t alignment = 32;
  std::uint64_t data_bytes = 0;
  std::vector<Tensor> tensors;
  // Counts written to the header instead of the true ones.
  std::uint64_t extra_keys = 0;
  std::uint64_t extra_tensors = 0;

  static void put(std::string& out, std::uint64_t value, int width) {
    for (int i = 0; i < width; ++i) {
      out.push_back(static_cast<char>((value >> (8 * i)) & 0xffU));
    }
  }
  static void put_text(std::string& out, std::string_view text) {
    put(out, text.size(), 8);
    out += text;
  }

  // A key with its type and the raw bytes of its value.
  GgufBytes& raw(std::string_view key, std::uint32_t type, std::string_view value) {
    std::string pair;
    put_text(pair, key);
    put(pair, type, 4);
    pair += value;
    pairs_.push_back(std::move(pair));
    keys_.emplace_back(key);
    return *this;
  }
  GgufBytes& number(std::string_view key, std::uint64_t value, std::uint32_t type = 4) {
    static constexpr int kWidths[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    std::string bytes;
    put(bytes, value, kWidths[type]);
    return raw(key, type, bytes);
  }
  GgufBytes& text(std::string_view key, std::string_view value) {
    std::string bytes;
    put_text(bytes, value);
    return raw(key, 8, bytes);
  }
  GgufBytes& texts(std::string_view key, const std::vector<std::string>& values) {
    std::string bytes;
    put(bytes, 8, 4);
    put(bytes, values.size(), 8);
    for (const auto& value : values) {
      put_text(bytes, value);
    }
    return raw(key, 9, bytes);
  }
  GgufBytes& numbers(std::string_view key,
                     const std::vector<std::uint32_t>& values,
                     std::uint32_t type = 5) {
    std::string bytes;
    put(bytes, type, 4);
    put(bytes, values.size(), 8);
    for (const auto value : values) {
      put(bytes, value, 4);
    }
    return raw(key, 9, bytes);
  }
  // Removes a key written before.
  GgufBytes& without(std::string_view key) {
    for (std::size_t i = 0; i < keys_.size();) {
      if (keys_[i] == key) {
        keys_.erase(keys_.begin() + static_cast<std::ptrdiff_t>(i));
        pairs_.erase(pairs_.begin() + static_cast<std::ptrdiff_t>(i));
      } else {
        ++i;
      }
    }
    return *this;
  }

  [[nodiscard]] std::string metadata() const {
    std::string out = magic;
    put(out, version, 4);
    put(out, tensors.size() + extra_tensors, 8);
    put(out, pairs_.size() + extra_keys, 8);
    for (const auto& pair : pairs_) {
      out += pair;
    }
    for (const auto& tensor : tensors) {
      put_text(out, tensor.name);
      put(out, tensor.dims.size(), 4);
      for (const auto dim : tensor.dims) {
        put(out, dim, 8);
      }
      put(out, tensor.type, 4);
      put(out, tensor.offset, 8);
    }
    return out;
  }
  [[nodiscard]] std::string bytes() const {
    std::string out = metadata();
    out.resize((out.size() + alignment - 1) / alignment * alignment, '\0');
    out.append(data_bytes, '\x5a');
    return out;
  }

  // llama, 2 layers, width 64, 4 heads (2 for keys and values), 5 tokens; 3 tensors.
  static GgufBytes small_model() {
    GgufBytes out;
    out.text("general.architecture", "llama")
        .text("general.name", "small")
        .number("general.file_type", 7)
        .number("llama.block_count", 2)
        .number("llama.context_length", 128)
        .number("llama.embedding_length", 64)
        .number("llama.feed_forward_length", 96)
        .number("llama.attention.head_count", 4)
        .number("llama.attention.head_count_kv", 2)
        .text("tokenizer.ggml.model", "llama")
        .texts("tokenizer.ggml.tokens", {"<unk>", "<s>", "</s>", "<0x0A>", "a"})
        .numbers("tokenizer.ggml.token_type", {2, 3, 3, 6, 1})
        .number("tokenizer.ggml.bos_token_id", 1)
        .text("tokenizer.chat_template", "{{ messages }}");
    out.tensors = {{"token_embd.weight", {64, 5}, 0, 0},        // f32: 1280 bytes
                   {"blk.0.attn_q.weight", {64, 64}, 8, 1280},  // q8_0: 4352 bytes
                   {"output_norm.weight", {64}, 1, 5632}};      // f16: 128 bytes
    out.data_bytes = 5760;
    return out;
  }

 private:
  std::vector<std::string> keys_;
  std::vector<std::string> pairs_;
};

}  // namespace skerry::test
