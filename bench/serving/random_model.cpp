// Writes a GGUF file with the tensors of a well-known model and random weights: as large and as
// slow as the real one, with nothing to download. Its answers are noise; its speed is not.
//
//   skerry-bench-random-model --shape qwen2.5-0.5b|llama-3.2-1b|tiny|ranker [--type q4_0|q8_0|f16]
//                             [--seed N] OUT.gguf

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace {

struct Shape {
  std::string_view name;
  std::string_view architecture;
  std::uint32_t layers;
  std::uint32_t width;
  std::uint32_t feed_forward;
  std::uint32_t heads;
  std::uint32_t heads_kv;
  std::uint32_t vocabulary;
  std::uint32_t context;
  float rope_base;
  bool biases;  // of queries, keys and values
  bool ranks;   // a reranker as Qwen3's: norms of queries and keys, a head of two classes
};

// From the models' config.json; both tie the output to the embedding.
constexpr std::array kShapes{
    Shape{"qwen2.5-0.5b", "qwen2", 24, 896, 4864, 14, 2, 151936, 32768, 1e6F, true, false},
    Shape{"llama-3.2-1b", "llama", 16, 2048, 8192, 32, 8, 128256, 32768, 5e5F, false, false},
    Shape{"tiny", "llama", 4, 256, 768, 4, 2, 1024, 4096, 1e4F, false, false},
    Shape{"ranker", "qwen3", 2, 256, 512, 4, 2, 1024, 4096, 1e4F, false, true},
};

// ggml's numbers.
enum class Type : std::uint32_t { kF32 = 0, kF16 = 1, kQ4_0 = 2, kQ8_0 = 8 };
constexpr std::uint32_t kBlock = 32;  // weights of one quantized block
constexpr std::uint64_t kAlignment = 32;

struct Tensor {
  std::string name;
  std::vector<std::uint64_t> dims;  // the first is the row
  Type type = Type::kF32;
  float fill = 0;  // of F32
  std::uint64_t offset = 0;

  [[nodiscard]] std::uint64_t count() const {
    std::uint64_t product = 1;
    for (const std::uint64_t dim : dims) {
      product *= dim;
    }
    return product;
  }
  [[nodiscard]] std::uint64_t bytes() const {
    switch (type) {
      case Type::kF32:
        return count() * 4;
      case Type::kF16:
        return count() * 2;
      case Type::kQ4_0:
        return count() / kBlock * 18;
      case Type::kQ8_0:
        break;
    }
    return count() / kBlock * 34;
  }
};

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "skerry-bench-random-model: %s\n", why.c_str());
  std::exit(1);
}

// xorshift64*: the same seed, the same file.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed | 1U) {}
  std::uint64_t next() {
    state_ ^= state_ >> 12U;
    state_ ^= state_ << 25U;
    state_ ^= state_ >> 27U;
    return state_ * 0x2545F4914F6CDD1DULL;
  }

 private:
  std::uint64_t state_;
};

// Normal half-precision numbers only.
std::uint16_t to_half(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16U) & 0x8000U;
  const std::int32_t exponent = static_cast<std::int32_t>((bits >> 23U) & 0xffU) - 127 + 15;
  if (exponent <= 0) {
    return static_cast<std::uint16_t>(sign);
  }
  return static_cast<std::uint16_t>(sign | (static_cast<std::uint32_t>(exponent) << 10U) |
                                    ((bits >> 13U) & 0x3ffU));
}

class Writer {
 public:
  explicit Writer(const char* path) : file_(std::fopen(path, "wbe")) {
    if (file_ == nullptr) {
      give_up(std::string{"cannot write "} + path);
    }
  }
  ~Writer() {
    if (std::fclose(file_) != 0) {
      give_up("the disk is full");
    }
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void bytes(const void* data, std::size_t size) {
    if (std::fwrite(data, 1, size, file_) != size) {
      give_up("the disk is full");
    }
    at_ += size;
  }
  template <class T>
  void put(T value) {
    bytes(&value, sizeof value);
  }
  void text(std::string_view value) {
    put(static_cast<std::uint64_t>(value.size()));
    bytes(value.data(), value.size());
  }
  void align() {
    static constexpr std::array<char, kAlignment> kZeros{};
    bytes(kZeros.data(), (kAlignment - at_ % kAlignment) % kAlignment);
  }

  // A key and a value of a simple type; GGUF's type numbers.
  void number(std::string_view key, std::uint32_t value) {
    text(key);
    put(std::uint32_t{4});
    put(value);
    ++keys_;
  }
  void real(std::string_view key, float value) {
    text(key);
    put(std::uint32_t{6});
    put(value);
    ++keys_;
  }
  void string(std::string_view key, std::string_view value) {
    text(key);
    put(std::uint32_t{8});
    text(value);
    ++keys_;
  }
  void array(std::string_view key, std::uint32_t type, std::uint64_t count) {
    text(key);
    put(std::uint32_t{9});
    put(type);
    put(count);
    ++keys_;
  }
  [[nodiscard]] std::uint64_t keys() const { return keys_; }

 private:
  std::FILE* file_;
  std::uint64_t at_ = 0;
  std::uint64_t keys_ = 0;
};

std::vector<Tensor> tensors_of(const Shape& shape, Type type) {
  const std::uint64_t width = shape.width;
  const std::uint64_t kv = std::uint64_t{shape.width} / shape.heads * shape.heads_kv;
  std::vector<Tensor> list;
  const auto weights = [&](std::string name, std::uint64_t row, std::uint64_t rows) {
    list.push_back({std::move(name), {row, rows}, type});
  };
  const auto vector = [&](std::string name, std::uint64_t row, float fill) {
    list.push_back({std::move(name), {row}, Type::kF32, fill});
  };
  weights("token_embd.weight", width, shape.vocabulary);
  vector("output_norm.weight", width, 1);
  if (shape.ranks) {
    weights("cls.output.weight", width, 2);
  }
  for (std::uint32_t layer = 0; layer < shape.layers; ++layer) {
    const std::string block = "blk." + std::to_string(layer) + ".";
    vector(block + "attn_norm.weight", width, 1);
    weights(block + "attn_q.weight", width, width);
    weights(block + "attn_k.weight", width, kv);
    weights(block + "attn_v.weight", width, kv);
    if (shape.biases) {
      vector(block + "attn_q.bias", width, 0);
      vector(block + "attn_k.bias", kv, 0);
      vector(block + "attn_v.bias", kv, 0);
    }
    if (shape.ranks) {
      vector(block + "attn_q_norm.weight", width / shape.heads, 1);
      vector(block + "attn_k_norm.weight", width / shape.heads, 1);
    }
    weights(block + "attn_output.weight", width, width);
    vector(block + "ffn_norm.weight", width, 1);
    weights(block + "ffn_gate.weight", width, shape.feed_forward);
    weights(block + "ffn_up.weight", width, shape.feed_forward);
    weights(block + "ffn_down.weight", shape.feed_forward, width);
  }
  std::uint64_t offset = 0;
  for (Tensor& tensor : list) {
    tensor.offset = offset;
    offset += (tensor.bytes() + kAlignment - 1) / kAlignment * kAlignment;
  }
  return list;
}

void write_vocabulary(Writer& out, const Shape& shape) {
  constexpr std::uint32_t kBytes = 3;  // after <unk>, <s>, </s>
  out.string("tokenizer.ggml.model", "llama");
  out.array("tokenizer.ggml.tokens", 8, shape.vocabulary);
  for (std::uint32_t token = 0; token < shape.vocabulary; ++token) {
    std::array<char, 32> text{};
    if (token < kBytes) {
      static constexpr std::array<const char*, kBytes> kNames{"<unk>", "<s>", "</s>"};
      std::snprintf(text.data(), text.size(), "%s", kNames[token]);
    } else if (token < kBytes + 256) {
      std::snprintf(text.data(), text.size(), "<0x%02X>", token - kBytes);
    } else {
      std::snprintf(text.data(), text.size(), "\xe2\x96\x81w%u", token);
    }
    out.text(text.data());
  }
  out.array("tokenizer.ggml.scores", 6, shape.vocabulary);
  for (std::uint32_t token = 0; token < shape.vocabulary; ++token) {
    out.put(-static_cast<float>(token));
  }
  out.array("tokenizer.ggml.token_type", 5, shape.vocabulary);
  for (std::uint32_t token = 0; token < shape.vocabulary; ++token) {
    // 1 normal, 2 unknown, 3 control, 6 byte
    out.put(std::int32_t{token == 0 ? 2 : token < kBytes ? 3 : token < kBytes + 256 ? 6 : 1});
  }
  out.number("tokenizer.ggml.bos_token_id", 1);
  out.number("tokenizer.ggml.eos_token_id", 2);
  out.number("tokenizer.ggml.unknown_token_id", 0);
}

constexpr std::uint64_t kKeys = 18;
constexpr std::uint64_t kRankKeys = 3;

void write_ranking(Writer& out, const std::string& prefix) {
  constexpr std::uint32_t kPoolRanks = 4;
  out.number(prefix + "pooling_type", kPoolRanks);
  out.array(prefix + "classifier.output_labels", 8, 2);
  out.text("yes");
  out.text("no");
  out.string("tokenizer.chat_template.rerank", "<s>{query}\n{document}</s>");
}

void write_header(Writer& out, const Shape& shape, const std::vector<Tensor>& tensors) {
  out.bytes("GGUF", 4);
  out.put(std::uint32_t{3});
  out.put(static_cast<std::uint64_t>(tensors.size()));
  const std::uint64_t keys = kKeys + (shape.ranks ? kRankKeys : 0);
  out.put(keys);
  const std::string prefix = std::string{shape.architecture} + ".";
  out.string("general.architecture", shape.architecture);
  out.string("general.name", std::string{shape.name} + " with random weights");
  out.number("general.alignment", static_cast<std::uint32_t>(kAlignment));
  out.number(prefix + "block_count", shape.layers);
  out.number(prefix + "context_length", shape.context);
  out.number(prefix + "embedding_length", shape.width);
  out.number(prefix + "feed_forward_length", shape.feed_forward);
  out.number(prefix + "attention.head_count", shape.heads);
  out.number(prefix + "attention.head_count_kv", shape.heads_kv);
  out.real(prefix + "attention.layer_norm_rms_epsilon", 1e-6F);
  out.real(prefix + "rope.freq_base", shape.rope_base);
  write_vocabulary(out, shape);
  if (shape.ranks) {
    write_ranking(out, prefix);
  }
  if (out.keys() != keys) {
    give_up("wrote " + std::to_string(out.keys()) + " keys");
  }
  for (const Tensor& tensor : tensors) {
    out.text(tensor.name);
    out.put(static_cast<std::uint32_t>(tensor.dims.size()));
    for (const std::uint64_t dim : tensor.dims) {
      out.put(dim);
    }
    out.put(static_cast<std::uint32_t>(tensor.type));
    out.put(tensor.offset);
  }
  out.align();
}

// Weights of variance 1 / row, so that activations neither vanish nor blow up.
void write_tensor(Writer& out, const Tensor& tensor, Random& random) {
  const float deviation = 1.0F / std::sqrt(static_cast<float>(tensor.dims[0]));
  if (tensor.type == Type::kF32) {
    for (std::uint64_t i = 0; i < tensor.count(); ++i) {
      out.put(tensor.fill);
    }
  } else if (tensor.type == Type::kF16) {
    for (std::uint64_t i = 0; i < tensor.count(); ++i) {
      const auto uniform = static_cast<float>(random.next() >> 40U) / static_cast<float>(1U << 24U);
      out.put(to_half((uniform - 0.5F) * 3.46F * deviation));
    }
  } else {
    // Uniform nibbles deviate by 4.6, uniform bytes by 74.
    const bool nibbles = tensor.type == Type::kQ4_0;
    const std::uint16_t scale = to_half(deviation / (nibbles ? 4.6F : 74.0F));
    const std::size_t words = nibbles ? 2 : 4;
    for (std::uint64_t block = 0; block < tensor.count() / kBlock; ++block) {
      out.put(scale);
      for (std::size_t i = 0; i < words; ++i) {
        out.put(random.next());
      }
    }
  }
  out.align();
}

}  // namespace

int main(int argc, char** argv) {
  const Shape* shape = nullptr;
  Type type = Type::kQ4_0;
  std::uint64_t seed = 1;
  const char* path = nullptr;
  for (int i = 1; i < argc; ++i) {
    const std::string_view key = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : "";
    if (key == "--shape") {
      for (const Shape& one : kShapes) {
        shape = one.name == value ? &one : shape;
      }
      ++i;
    } else if (key == "--type") {
      const std::string_view name = value;
      type = name == "q8_0" ? Type::kQ8_0 : name == "f16" ? Type::kF16 : Type::kQ4_0;
      if (name != "q8_0" && name != "f16" && name != "q4_0") {
        give_up("--type is q4_0, q8_0 or f16");
      }
      ++i;
    } else if (key == "--seed") {
      seed = std::strtoull(value, nullptr, 10);
      ++i;
    } else {
      path = argv[i];
    }
  }
  if (shape == nullptr || path == nullptr) {
    give_up("--shape qwen2.5-0.5b|llama-3.2-1b|tiny|ranker and a file to write are needed");
  }
  const std::vector<Tensor> tensors = tensors_of(*shape, type);
  Writer out{path};
  write_header(out, *shape, tensors);
  Random random{seed};
  for (const Tensor& tensor : tensors) {
    write_tensor(out, tensor, random);
  }
  return 0;
}
