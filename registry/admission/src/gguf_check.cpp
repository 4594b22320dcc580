#include "skerry/registry/gguf_check.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "skerry/common/bytes.hpp"
#include "skerry/registry/gguf_layout.hpp"

#include "file_cursor.hpp"
#include "gguf_metadata.hpp"
#include "gguf_types.hpp"

namespace skerry::registry {

namespace {

constexpr std::uint64_t kMaxDimensions = 4;
constexpr std::uint64_t kMaxWidth = std::uint64_t{1} << 24U;
constexpr std::uint64_t kMaxContext = std::uint64_t{1} << 28U;
constexpr std::uint64_t kMaxHeads = std::uint64_t{1} << 16U;
constexpr std::uint64_t kMaxExperts = 4096;
constexpr auto kMaxSigned = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

// False if the product passes 2^63-1, which is what engines compute with.
bool multiply(std::uint64_t& value, std::uint64_t by) {
  std::uint64_t product = 0;
  if (__builtin_mul_overflow(value, by, &product) || product > kMaxSigned) {
    return false;
  }
  value = product;
  return true;
}

std::uint64_t align_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

struct Extent {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::uint64_t described_at = 0;
};

class Checker {
 public:
  Checker(FileCursor& cursor, const GgufLimits& limits, std::uint64_t file_bytes)
      : cursor_(cursor), limits_(limits), metadata_(cursor, limits) {
    summary_.file_bytes = file_bytes;
  }

  GgufSummary run() {
    metadata_.read();
    if (cursor_.ok()) {
      take_general();
    }
    const std::uint64_t count = cursor_.ok() ? metadata_.tensor_count() : 0;
    for (std::uint64_t i = 0; i < count && cursor_.ok(); ++i) {
      read_tensor();
    }
    if (cursor_.ok()) {
      check_extents();
    }
    if (cursor_.ok()) {
      take_shape();
    }
    return std::move(summary_);
  }
  // Offsets from the start of the tensor data.
  std::vector<GgufTensor> take_tensors() { return std::move(tensors_); }

 private:
  void take_general();
  void read_tensor();
  std::array<std::uint64_t, kMaxDimensions> read_tensor_shape(const std::string& name,
                                                              std::uint64_t at,
                                                              std::uint64_t& elements);
  void check_extents();
  void take_shape();
  void take_heads(const std::string& prefix);
  std::uint64_t bounded(const std::string& key, std::uint64_t minimum, std::uint64_t maximum);

  FileCursor& cursor_;
  const GgufLimits& limits_;
  gguf::Metadata metadata_;
  GgufSummary summary_;
  std::vector<Extent> extents_;
  std::vector<GgufTensor> tensors_;
  std::unordered_set<std::string> names_;
};

void Checker::take_general() {
  summary_.version = metadata_.version();
  summary_.keys = metadata_.key_count();
  summary_.tensors = metadata_.tensor_count();
  summary_.architecture = metadata_.text("general.architecture");
  summary_.name = metadata_.text("general.name");
  summary_.license = metadata_.text("general.license");
  summary_.tokenizer_model = metadata_.text("tokenizer.ggml.model");
  summary_.chat_template = metadata_.chat_template();
  summary_.vocabulary_size = metadata_.vocabulary().value_or(0);
  if (summary_.architecture.empty() || summary_.architecture.size() > 64) {
    cursor_.fail("general.architecture is missing, empty or longer than 64 bytes");
  }
  if (const auto claim = metadata_.unsigned_integer("general.file_type")) {
    summary_.claimed_file_type = static_cast<std::uint32_t>(*claim);
  }
  summary_.split_number = metadata_.unsigned_integer("split.no").value_or(0);
  summary_.split_count =
      std::max<std::uint64_t>(metadata_.unsigned_integer("split.count").value_or(1), 1);
  if (summary_.split_number >= summary_.split_count) {
    cursor_.fail("split.no is " + std::to_string(summary_.split_number) + " of " +
                 std::to_string(summary_.split_count) + " parts");
  }
  if (limits_.require_tensors && metadata_.tensor_count() == 0) {
    cursor_.fail_at(8, "no tensors: a vocabulary-only file is not a model");
  }
}

std::array<std::uint64_t, kMaxDimensions> Checker::read_tensor_shape(const std::string& name,
                                                                     std::uint64_t at,
                                                                     std::uint64_t& elements) {
  std::array<std::uint64_t, kMaxDimensions> dims{1, 1, 1, 1};
  const std::uint32_t dimensions = cursor_.u32();
  if (cursor_.ok() && (dimensions == 0 || dimensions > kMaxDimensions)) {
    cursor_.fail_at(
        at,
        "tensor '" + name + "' has " + std::to_string(dimensions) + " dimensions, expected 1 to 4");
    return dims;
  }
  elements = 1;
  for (std::uint32_t d = 0; d < dimensions && cursor_.ok(); ++d) {
    const std::uint64_t length = cursor_.u64();
    if (cursor_.ok() && (length == 0 || !multiply(elements, length))) {
      cursor_.fail_at(at,
                      "tensor '" + name + "': dimension " + std::to_string(d) + " of " +
                          std::to_string(length) + " is zero or makes the tensor too large");
    }
    dims[d] = length;
  }
  return dims;
}

void Checker::read_tensor() {
  const std::uint64_t at = cursor_.position();
  const std::uint64_t length = cursor_.u64();
  if (cursor_.ok() && (length == 0 || length > limits_.max_tensor_name_bytes)) {
    cursor_.fail_at(at,
                    "a tensor name of " + std::to_string(length) + " bytes, expected 1 to " +
                        std::to_string(limits_.max_tensor_name_bytes));
    return;
  }
  const std::string name = cursor_.text(length);
  if (!cursor_.ok()) {
    return;
  }
  const auto printable = [](char c) { return c > ' ' && c < '\x7f'; };
  if (!std::all_of(name.begin(), name.end(), printable)) {
    cursor_.fail_at(at, "a tensor name that is not printable ASCII");
    return;
  }
  if (!names_.insert(name).second) {
    cursor_.fail_at(at, "tensor '" + name + "' occurs twice");
    return;
  }
  std::uint64_t elements = 0;
  const auto dims = read_tensor_shape(name, at, elements);
  const std::uint64_t row = dims[0];
  const std::uint64_t second = dims[1];
  const std::uint32_t type_id = cursor_.u32();
  const std::uint64_t offset = cursor_.u64();
  if (!cursor_.ok()) {
    return;
  }
  const gguf::TensorType* type = gguf::find_tensor_type(type_id);
  if (type == nullptr) {
    cursor_.fail_at(at, "tensor '" + name + "' has the unknown type " + std::to_string(type_id));
    return;
  }
  if (row % type->block_elements != 0) {
    cursor_.fail_at(at,
                    "tensor '" + name + "': rows of " + std::to_string(row) +
                        " elements are not a multiple of the block of " + std::string{type->name} +
                        ", " + std::to_string(type->block_elements));
    return;
  }
  std::uint64_t bytes = elements / type->block_elements;
  if (!multiply(bytes, type->block_bytes)) {
    cursor_.fail_at(at, "tensor '" + name + "' is too large");
    return;
  }
  if (offset % metadata_.alignment() != 0) {
    cursor_.fail_at(at,
                    "tensor '" + name + "' starts at " + std::to_string(offset) +
                        ", which is no multiple of the alignment " +
                        std::to_string(metadata_.alignment()));
    return;
  }
  if (name == "token_embd.weight" && metadata_.vocabulary() && second != *metadata_.vocabulary()) {
    cursor_.fail_at(at,
                    "tensor 'token_embd.weight' has " + std::to_string(second) + " rows for " +
                        std::to_string(*metadata_.vocabulary()) + " tokens");
    return;
  }
  GgufTypeUse& use = summary_.types[std::string{type->name}];
  ++use.tensors;
  use.elements += elements;
  use.bytes += bytes;
  extents_.push_back({offset, bytes, at});
  tensors_.push_back({name, dims, type_id, offset, bytes});
}

void Checker::check_extents() {
  const std::uint64_t alignment = metadata_.alignment();
  if (extents_.empty()) {
    summary_.data_offset = cursor_.position();
    return;
  }
  summary_.data_offset = align_up(cursor_.position(), alignment);
  if (summary_.data_offset > summary_.file_bytes) {
    cursor_.fail("truncated: the file ends before the tensor data");
    return;
  }
  const std::uint64_t data_bytes = summary_.file_bytes - summary_.data_offset;
  std::sort(extents_.begin(), extents_.end(), [](const Extent& a, const Extent& b) {
    return std::pair{a.offset, a.bytes} < std::pair{b.offset, b.bytes};
  });
  std::uint64_t end = 0;
  for (const Extent& extent : extents_) {
    // The check whose absence let a heap be read through a tensor (CVE-2026-7482).
    if (extent.offset > data_bytes || extent.bytes > data_bytes - extent.offset) {
      cursor_.fail_at(extent.described_at,
                      "a tensor of " + std::to_string(extent.bytes) + " bytes at data offset " +
                          std::to_string(extent.offset) + " reaches beyond the " +
                          std::to_string(data_bytes) + " bytes of data, described");
      return;
    }
    if (extent.offset < end) {
      cursor_.fail_at(extent.described_at, "a tensor overlaps another one, described");
      return;
    }
    if (extent.offset - end >= alignment) {
      cursor_.fail_at(
          extent.described_at,
          std::to_string(extent.offset - end) + " bytes before a tensor belong to none, described");
      return;
    }
    end = extent.offset + extent.bytes;
    summary_.weights_bytes += extent.bytes;
  }
  if (data_bytes - end >= alignment) {
    cursor_.fail_at(
        summary_.data_offset + end,
        std::to_string(data_bytes - end) + " bytes after the last tensor belong to none");
    return;
  }
  std::uint64_t most = 0;
  for (const auto& [name, use] : summary_.types) {
    summary_.parameters += use.elements;
    if (use.elements > most) {
      most = use.elements;
      summary_.dominant_type = name;
    }
  }
}

std::uint64_t Checker::bounded(const std::string& key,
                               std::uint64_t minimum,
                               std::uint64_t maximum) {
  const auto value = metadata_.unsigned_integer(key);
  if (!value) {
    if (minimum > 0) {
      cursor_.fail("key '" + key + "' is missing");
    }
    return 0;
  }
  if (*value < minimum || *value > maximum) {
    cursor_.fail("key '" + key + "' is " + std::to_string(*value) + ", expected " +
                 std::to_string(minimum) + " to " + std::to_string(maximum));
    return 0;
  }
  return *value;
}

void Checker::take_shape() {
  const std::string type = metadata_.text("general.type");
  const bool is_model = (type.empty() || type == "model") && summary_.architecture != "clip";
  const std::uint64_t needed = limits_.require_tensors && is_model ? 1 : 0;
  const std::string prefix = summary_.architecture + ".";
  summary_.block_count = bounded(prefix + "block_count", needed, limits_.max_block_count);
  summary_.context_length = bounded(prefix + "context_length", needed, kMaxContext);
  summary_.embedding_length = bounded(prefix + "embedding_length", needed, kMaxWidth);
  summary_.feed_forward_length = bounded(prefix + "feed_forward_length", 0, kMaxWidth);
  const std::uint64_t experts = bounded(prefix + "expert_count", 0, kMaxExperts);
  const std::uint64_t used = bounded(prefix + "expert_used_count", 0, kMaxExperts);
  if (used > experts) {
    cursor_.fail("key '" + prefix + "expert_used_count' is larger than expert_count");
  }
  const std::uint64_t claimed = bounded(prefix + "vocab_size", 0, limits_.max_array_elements);
  if (summary_.vocabulary_size == 0) {
    summary_.vocabulary_size = claimed;
  }
  if (cursor_.ok()) {
    take_heads(prefix);
  }
}

// Keys and values cached per token: over the layers, heads × (key + value) × 2 bytes.
void Checker::take_heads(const std::string& prefix) {
  auto heads = metadata_.unsigned_integers(prefix + "attention.head_count");
  auto heads_kv = metadata_.unsigned_integers(prefix + "attention.head_count_kv");
  if (!cursor_.ok() || heads.empty()) {
    return;
  }
  if (heads_kv.empty()) {
    heads_kv = heads;
  }
  for (const auto* list : {&heads, &heads_kv}) {
    if (list->size() != 1 && list->size() != summary_.block_count) {
      cursor_.fail("attention.head_count has " + std::to_string(list->size()) + " values for " +
                   std::to_string(summary_.block_count) + " layers");
      return;
    }
  }
  summary_.head_count = *std::max_element(heads.begin(), heads.end());
  summary_.head_count_kv = *std::max_element(heads_kv.begin(), heads_kv.end());
  if (summary_.head_count > kMaxHeads || summary_.head_count_kv > summary_.head_count) {
    cursor_.fail("attention.head_count is " + std::to_string(summary_.head_count) +
                 ", head_count_kv " + std::to_string(summary_.head_count_kv));
    return;
  }
  if (summary_.head_count == 0) {
    return;  // no attention at all: a recurrent model
  }
  const std::uint64_t width = summary_.embedding_length / summary_.head_count;
  summary_.key_length = bounded(prefix + "attention.key_length", 0, kMaxHeads);
  summary_.value_length = bounded(prefix + "attention.value_length", 0, kMaxHeads);
  const bool given = summary_.key_length != 0 && summary_.value_length != 0;
  if (!given && summary_.embedding_length % summary_.head_count != 0) {
    cursor_.fail("key '" + prefix + "embedding_length' is " +
                 std::to_string(summary_.embedding_length) + ", no multiple of the " +
                 std::to_string(summary_.head_count) + " heads");
    return;
  }
  summary_.key_length = summary_.key_length != 0 ? summary_.key_length : width;
  summary_.value_length = summary_.value_length != 0 ? summary_.value_length : width;
  // At most 512 layers × 2^16 heads × 2^17 × 2 bytes: below 2^43.
  for (std::uint64_t layer = 0; layer < summary_.block_count; ++layer) {
    const std::uint64_t here = heads_kv.size() == 1 ? heads_kv[0] : heads_kv[layer];
    summary_.kv_bytes_per_token += here * (summary_.key_length + summary_.value_length) * 2;
  }
}

}  // namespace

Result<GgufSummary> check_gguf(File& file, const GgufLimits& limits) {
  const auto status = file.status();
  if (!status) {
    return status.error().with_context("gguf");
  }
  FileCursor cursor{file, "gguf", status->size, limits.max_metadata_bytes};
  GgufSummary summary = Checker{cursor, limits, status->size}.run();
  if (!cursor.ok()) {
    return cursor.error();
  }
  return summary;
}

Result<GgufLayout> read_gguf_layout(File& file, const GgufLimits& limits) {
  const auto status = file.status();
  if (!status) {
    return status.error().with_context("gguf");
  }
  FileCursor cursor{file, "gguf", status->size, limits.max_metadata_bytes};
  Checker checker{cursor, limits, status->size};
  const GgufSummary summary = checker.run();
  if (!cursor.ok()) {
    return cursor.error();
  }
  GgufLayout layout{summary.data_offset, checker.take_tensors()};
  for (GgufTensor& tensor : layout.tensors) {
    tensor.offset += summary.data_offset;
  }
  return layout;
}

}  // namespace skerry::registry
