// skerry-bench-delta-pair OUT TYPE [--change PART RELATIVE] [--metadata BYTES] [--layers N]: writes
// one GGUF model of about 9 million weights a layer and 16 million beside them. Equal arguments
// give equal bytes; `--change` moves the weights of PART of the matrices by a random product of
// rank 16 whose spread is RELATIVE of theirs, as a merged LoRA does. Weights are rounded to BF16 as
// training frameworks save them and quantized by the engine's own ggml.

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <ggml.h>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::int64_t kWidth = 1024;
constexpr std::int64_t kInner = 2816;
constexpr std::int64_t kVocabulary = 8000;
constexpr int kRank = 16;
constexpr float kSpread = 0.0205F;
constexpr std::uint64_t kAlignment = 32;

// splitmix64 with a bell-shaped draw that has mild heavy tails.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ULL + 1) {}
  std::uint64_t bits() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31U);
  }
  float bell() {
    float sum = 0;
    for (int word = 0; word < 2; ++word) {
      for (std::uint64_t x = bits(), i = 0; i < 4; ++i, x >>= 16U) {
        sum += static_cast<float>(x & 0xffffU);
      }
    }
    sum = (sum / 65535.0F - 4.0F) * 1.2247449F;
    const std::uint64_t tail = bits();
    return (tail & 63U) != 0 ? sum : sum * (1.0F + static_cast<float>(tail >> 8U & 0xffU) / 128.0F);
  }

 private:
  std::uint64_t state_;
};

struct Matrix {
  std::string name;
  std::int64_t columns;
  std::int64_t rows;
  ggml_type type;
};

struct Change {
  double part = 0;
  float relative = 0;
};

struct Job {
  std::string out;
  ggml_type type = GGML_TYPE_Q8_0;
  bool mixed = false;  // Q4_K_M: some matrices in Q6_K
  Change change;
  std::size_t metadata = 0;
  int layers = 6;
};

std::vector<Matrix> matrices_of(const Job& job) {
  const ggml_type better = job.mixed ? GGML_TYPE_Q6_K : job.type;
  std::vector<Matrix> all{{"token_embd.weight", kWidth, kVocabulary, job.type}};
  for (int layer = 0; layer < job.layers; ++layer) {
    const std::string prefix = "blk." + std::to_string(layer) + ".";
    const ggml_type some = layer % 2 == 0 ? better : job.type;
    all.push_back({prefix + "attn_norm.weight", kWidth, 1, GGML_TYPE_F32});
    all.push_back({prefix + "attn_q.weight", kWidth, kWidth, job.type});
    all.push_back({prefix + "attn_k.weight", kWidth, kWidth, job.type});
    all.push_back({prefix + "attn_v.weight", kWidth, kWidth, some});
    all.push_back({prefix + "attn_output.weight", kWidth, kWidth, job.type});
    all.push_back({prefix + "ffn_norm.weight", kWidth, 1, GGML_TYPE_F32});
    all.push_back({prefix + "ffn_gate.weight", kWidth, kInner, job.type});
    all.push_back({prefix + "ffn_up.weight", kWidth, kInner, job.type});
    all.push_back({prefix + "ffn_down.weight", kInner, kWidth, some});
  }
  all.push_back({"output_norm.weight", kWidth, 1, GGML_TYPE_F32});
  all.push_back({"output.weight", kWidth, kVocabulary, better});
  return all;
}

class Header {
 public:
  template <class T>
  void number(T value) {
    char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    bytes_.append(bytes, sizeof(T));
  }
  void text(std::string_view value) {
    number(std::uint64_t{value.size()});
    bytes_ += value;
  }
  void pad() { bytes_.resize((bytes_.size() + kAlignment - 1) / kAlignment * kAlignment, '\0'); }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

std::size_t bytes_of(const Matrix& matrix) {
  return ggml_row_size(matrix.type, matrix.columns) * static_cast<std::size_t>(matrix.rows);
}

std::string header_of(const Job& job, const std::vector<Matrix>& matrices) {
  constexpr std::uint32_t kText = 8;
  constexpr std::uint32_t kArray = 9;
  Header header;
  header.number(std::uint32_t{0x46554747});
  header.number(std::uint32_t{3});
  header.number(std::uint64_t{matrices.size()});
  header.number(std::uint64_t{job.metadata == 0 ? 3U : 4U});
  header.text("general.architecture");
  header.number(kText);
  header.text("llama");
  header.text("general.name");
  header.number(kText);
  header.text("delta bench");
  header.text("tokenizer.ggml.tokens");
  header.number(kArray);
  header.number(kText);
  header.number(std::uint64_t{kVocabulary});
  Draw letters{99};
  for (std::int64_t i = 0; i < kVocabulary; ++i) {
    std::string token = "\xe2\x96\x81";
    for (std::uint64_t length = 3 + letters.bits() % 8; length > 0; --length) {
      token += "etaoinshrdlucmfw"[letters.bits() % 16];
    }
    header.text(token);
  }
  if (job.metadata != 0) {
    header.text("general.description");
    header.number(kText);
    header.text(std::string(job.metadata, 'm'));
  }
  std::uint64_t offset = 0;
  for (const Matrix& matrix : matrices) {
    header.text(matrix.name);
    header.number(std::uint32_t{matrix.rows == 1 ? 1U : 2U});
    header.number(static_cast<std::uint64_t>(matrix.columns));
    if (matrix.rows > 1) {
      header.number(static_cast<std::uint64_t>(matrix.rows));
    }
    header.number(static_cast<std::uint32_t>(matrix.type));
    header.number(offset);
    offset += (bytes_of(matrix) + kAlignment - 1) / kAlignment * kAlignment;
  }
  header.pad();
  return header.bytes();
}

float as_bf16(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof(bits));
  bits = (bits + 0x7fffU + (bits >> 16U & 1U)) & 0xffff0000U;
  std::memcpy(&value, &bits, sizeof(bits));
  return value;
}

// The rows of one matrix, each drawn from a seed of its own.
class Source {
 public:
  Source(const Matrix& matrix, std::uint64_t number, const Change& change)
      : matrix_(matrix),
        number_(number),
        columns_(static_cast<std::size_t>(matrix.columns)),
        rows_(static_cast<std::size_t>(matrix.rows)) {
    Draw draw{number * 7919};
    for (float& row : rows_) {
      row = kSpread * std::exp(0.25F * draw.bell());
    }
    for (float& column : columns_) {
      column = std::exp(0.15F * draw.bell());
    }
    const bool moves =
        matrix.rows > 1 && static_cast<double>(number * 2654435761U % 1000) / 1000.0 < change.part;
    if (moves) {
      Draw product{number * 104729 + 17};
      left_.resize(rows_.size() * kRank);
      right_.resize(columns_.size() * kRank);
      for (auto* factor : {&left_, &right_}) {
        for (float& value : *factor) {
          value = product.bell();
        }
      }
      strength_ = change.relative * kSpread / std::sqrt(static_cast<float>(kRank));
    }
  }

  void row(std::size_t number, std::vector<float>& out) const {
    Draw draw{number_ * 1000003 + number};
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = rows_[number] * columns_[i] * draw.bell();
    }
    for (std::size_t k = 0; strength_ != 0 && k < kRank; ++k) {
      const float weight = strength_ * left_[number * kRank + k];
      const float* other = &right_[k * out.size()];
      for (std::size_t i = 0; i < out.size(); ++i) {
        out[i] += weight * other[i];
      }
    }
    for (float& value : out) {
      value = matrix_.rows > 1 ? as_bf16(value) : 1.0F + value;
    }
  }

 private:
  const Matrix& matrix_;
  std::uint64_t number_;
  std::vector<float> columns_;
  std::vector<float> rows_;
  std::vector<float> left_;
  std::vector<float> right_;
  float strength_ = 0;
};

bool write_model(const Job& job) {
  std::ofstream file{job.out, std::ios::binary};
  const auto matrices = matrices_of(job);
  file << header_of(job, matrices);
  std::uint64_t number = 0;
  for (const Matrix& matrix : matrices) {
    const Source source{matrix, ++number, job.change};
    std::vector<float> row(static_cast<std::size_t>(matrix.columns));
    std::vector<char> coded(ggml_row_size(matrix.type, matrix.columns));
    for (std::int64_t i = 0; i < matrix.rows; ++i) {
      source.row(static_cast<std::size_t>(i), row);
      if (matrix.type == GGML_TYPE_F32) {
        std::memcpy(coded.data(), row.data(), coded.size());
      } else {
        ggml_quantize_chunk(matrix.type, row.data(), coded.data(), 0, 1, matrix.columns, nullptr);
      }
      file.write(coded.data(), static_cast<std::streamsize>(coded.size()));
    }
    const std::size_t over = bytes_of(matrix) % kAlignment;
    file << std::string(over == 0 ? 0 : kAlignment - over, '\0');
  }
  return static_cast<bool>(file.flush());
}

bool parse(int argc, char** argv, Job& job) {
  if (argc < 3) {
    return false;
  }
  job.out = argv[1];
  const std::string_view type = argv[2];
  job.mixed = type == "q4_k_m";
  if (type == "q4_0") {
    job.type = GGML_TYPE_Q4_0;
  } else if (type == "q4_k_m") {
    job.type = GGML_TYPE_Q4_K;
  } else if (type == "q6_k") {
    job.type = GGML_TYPE_Q6_K;
  } else if (type == "bf16") {
    job.type = GGML_TYPE_BF16;
  } else if (type != "q8_0") {
    return false;
  }
  for (int i = 3; i < argc; ++i) {
    const std::string_view option = argv[i];
    if (option == "--change" && i + 2 < argc) {
      job.change = {std::atof(argv[i + 1]), static_cast<float>(std::atof(argv[i + 2]))};
      i += 2;
    } else if (option == "--metadata" && i + 1 < argc) {
      job.metadata = static_cast<std::size_t>(std::atoll(argv[++i]));
    } else if (option == "--layers" && i + 1 < argc) {
      job.layers = std::atoi(argv[++i]);
    } else {
      return false;
    }
  }
  return job.layers > 0 && job.layers <= 100;
}

}  // namespace

int main(int argc, char** argv) {
  Job job;
  if (!parse(argc, argv, job)) {
    std::fprintf(
        stderr,
        "usage: skerry-bench-delta-pair OUT q8_0|q4_0|q4_k_m|q6_k|bf16 [--change PART RELATIVE] "
        "[--metadata BYTES] [--layers N]\n");
    return 2;
  }
  if (!write_model(job)) {
    std::fprintf(stderr, "cannot write %s\n", job.out.c_str());
    return 1;
  }
  return 0;
}
