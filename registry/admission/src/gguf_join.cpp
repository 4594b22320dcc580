#include "skerry/registry/gguf_join.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "skerry/common/bytes.hpp"
#include "skerry/common/read_only_file.hpp"
#include "skerry/registry/gguf_check.hpp"

#include "file_cursor.hpp"
#include "gguf_types.hpp"

namespace skerry::registry {
namespace {

using gguf::ValueType;

constexpr std::uint64_t kHeaderBytes = 24;
constexpr std::uint64_t kMaxParts = 4096;

void put_number(std::string& out, std::uint64_t value, unsigned width) {
  for (unsigned i = 0; i < width; ++i) {
    out.push_back(static_cast<char>((value >> (8 * i)) & 0xffU));
  }
}

std::uint64_t round_up(std::uint64_t value, std::uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

struct SplitTensor {
  std::string head;  // name, dimensions and type, as they are in the file
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

struct SplitPart {
  std::uint32_t version = 0;
  std::vector<std::string> pairs;  // all but the split's own, as they are in the file
  std::vector<SplitTensor> tensors;
  std::uint64_t alignment = 32;
  std::optional<std::uint64_t> number;
  std::optional<std::uint64_t> count;
  std::optional<std::uint64_t> tensors_in_all;
  std::uint64_t data_offset = 0;
  std::uint64_t data_bytes = 0;
};

// Reads the structure of one part and keeps it as bytes.
class PartReader {
 public:
  PartReader(File& file, std::uint64_t size, const GgufLimits& limits)
      : cursor_(file, "gguf", size, limits.max_metadata_bytes), limits_(limits), size_(size) {}

  Result<SplitPart> run() {
    const std::string magic = cursor_.text(4);
    part_.version = cursor_.u32();
    const std::uint64_t tensors = cursor_.u64();
    const std::uint64_t keys = cursor_.u64();
    if (cursor_.ok() && (magic != "GGUF" || part_.version < 2 || part_.version > 3)) {
      cursor_.fail_at(0, "not a GGUF file of version 2 or 3");
    }
    if (cursor_.ok() && (tensors > limits_.max_tensors || keys > limits_.max_keys)) {
      cursor_.fail_limit(8, "too many tensors or keys");
    }
    for (std::uint64_t i = 0; i < keys && cursor_.ok(); ++i) {
      read_pair();
    }
    for (std::uint64_t i = 0; i < tensors && cursor_.ok(); ++i) {
      read_tensor();
    }
    if (!cursor_.ok()) {
      return cursor_.error();
    }
    part_.data_offset = tensors == 0 ? size_ : round_up(cursor_.position(), part_.alignment);
    if (part_.data_offset > size_) {
      cursor_.fail("truncated: the file ends before the tensor data");
      return cursor_.error();
    }
    part_.data_bytes = size_ - part_.data_offset;
    // In the joined file the next part would stand in for what this one lacks.
    for (const SplitTensor& tensor : part_.tensors) {
      if (tensor.offset > part_.data_bytes || tensor.bytes > part_.data_bytes - tensor.offset) {
        cursor_.fail("a tensor reaches beyond its part");
        return cursor_.error();
      }
    }
    return std::move(part_);
  }

 private:
  std::string take(std::uint64_t length, std::uint64_t limit) {
    if (cursor_.ok() && length > limit) {
      cursor_.fail_limit(cursor_.position(), "a string longer than its limit");
    }
    return cursor_.ok() ? cursor_.text(length) : std::string{};
  }

  // A length and as many bytes, appended to `raw` as they are.
  std::string take_string(std::string& raw, std::uint64_t limit) {
    const std::uint64_t length = cursor_.u64();
    std::string text = take(length, limit);
    put_number(raw, length, 8);
    raw += text;
    return text;
  }

  void read_pair() {
    std::string raw;
    const std::string key = take_string(raw, limits_.max_key_bytes);
    const auto type = static_cast<ValueType>(cursor_.u32());
    put_number(raw, static_cast<std::uint64_t>(type), 4);
    std::string value;
    read_value(type, value, false);
    if (!cursor_.ok()) {
      return;
    }
    const std::uint64_t number = number_of(value);
    if (key == "general.alignment") {
      part_.alignment = number;
      if (number < 8 || number > 4096 || (number & (number - 1)) != 0) {
        cursor_.fail("general.alignment is no power of two from 8 to 4096");
      }
    }
    if (key == "split.no") {
      part_.number = number;
    } else if (key == "split.count") {
      part_.count = number;
    } else if (key == "split.tensors.count") {
      part_.tensors_in_all = number;
    } else {
      part_.pairs.push_back(raw + value);
    }
  }

  void read_value(ValueType type, std::string& raw, bool inside_array) {
    if (type == ValueType::kString) {
      (void)take_string(raw, limits_.max_string_bytes);
      return;
    }
    if (type == ValueType::kArray && !inside_array) {
      const auto element = static_cast<ValueType>(cursor_.u32());
      const std::uint64_t count = cursor_.u64();
      put_number(raw, static_cast<std::uint64_t>(element), 4);
      put_number(raw, count, 8);
      if (cursor_.ok() && count > limits_.max_array_elements) {
        cursor_.fail_limit(cursor_.position(), "an array of too many elements");
      }
      for (std::uint64_t i = 0; i < count && cursor_.ok(); ++i) {
        read_value(element, raw, true);
      }
      return;
    }
    const bool known = static_cast<std::uint32_t>(type) < gguf::kValueTypes;
    const std::uint64_t width = known ? gguf::value_bytes(type) : 0;
    if (cursor_.ok() && width == 0) {
      cursor_.fail("a value of unknown type");
      return;
    }
    raw += take(width, width);
  }

  static std::uint64_t number_of(const std::string& value) {
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < value.size() && i < 8; ++i) {
      number |= std::uint64_t{static_cast<unsigned char>(value[i])} << (8 * i);
    }
    return number;
  }

  void read_tensor() {
    SplitTensor tensor;
    (void)take_string(tensor.head, limits_.max_tensor_name_bytes);
    const std::uint32_t dimensions = cursor_.u32();
    put_number(tensor.head, dimensions, 4);
    if (cursor_.ok() && (dimensions == 0 || dimensions > 4)) {
      cursor_.fail("a tensor of other than 1 to 4 dimensions");
      return;
    }
    std::uint64_t elements = 1;
    bool fits = true;
    for (std::uint32_t i = 0; i < dimensions && cursor_.ok(); ++i) {
      const std::uint64_t length = cursor_.u64();
      put_number(tensor.head, length, 8);
      fits = fits && !__builtin_mul_overflow(elements, length, &elements);
    }
    const std::uint32_t type_id = cursor_.u32();
    put_number(tensor.head, type_id, 4);
    tensor.offset = cursor_.u64();
    const gguf::TensorType* type = gguf::find_tensor_type(type_id);
    if (cursor_.ok() && type == nullptr) {
      cursor_.fail("a tensor of the unknown type " + std::to_string(type_id));
      return;
    }
    if (cursor_.ok() &&
        (!fits || __builtin_mul_overflow(
                      elements / type->block_elements, type->block_bytes, &tensor.bytes))) {
      cursor_.fail("a tensor that is too large");
      return;
    }
    if (cursor_.ok()) {
      part_.tensors.push_back(std::move(tensor));
    }
  }

  FileCursor cursor_;
  const GgufLimits& limits_;
  std::uint64_t size_;
  SplitPart part_;
};

// Bytes of our own, then ranges of other files.
class JoinedFile final : public ReadOnlyFile {
 public:
  struct Range {
    std::uint64_t at = 0;
    std::uint64_t size = 0;
    std::size_t part = 0;
    std::uint64_t offset = 0;
  };

  JoinedFile(std::string head, std::vector<Range> ranges, std::vector<std::unique_ptr<File>> parts)
      : ReadOnlyFile("a joined file"),
        head_(std::move(head)),
        ranges_(std::move(ranges)),
        parts_(std::move(parts)) {
    size_ = head_.size();
    for (const Range& range : ranges_) {
      size_ = std::max(size_, range.at + range.size);
    }
  }

  // What no range covers is padding.
  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::uint8_t> out) override {
    if (offset >= size_) {
      return std::size_t{0};
    }
    const auto wanted =
        static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), size_ - offset));
    std::fill_n(out.begin(), wanted, std::uint8_t{0});
    if (offset < head_.size()) {
      const auto count = std::min<std::size_t>(wanted, head_.size() - offset);
      std::copy_n(head_.begin() + static_cast<std::ptrdiff_t>(offset), count, out.begin());
    }
    for (const Range& range : ranges_) {
      const std::uint64_t begin = std::max(offset, range.at);
      const std::uint64_t end = std::min(offset + wanted, range.at + range.size);
      if (begin >= end) {
        continue;
      }
      const auto piece = out.subspan(begin - offset, end - begin);
      const auto read = parts_[range.part]->read_at(range.offset + (begin - range.at), piece);
      if (!read) {
        return read.error();
      }
      if (*read != piece.size()) {
        return Error{Error::Code::kSizeMismatch, "a part became shorter while it was read"};
      }
    }
    return wanted;
  }

  [[nodiscard]] Result<FileStatus> status() const override {
    FileStatus status;
    status.size = size_;
    return status;
  }
  [[nodiscard]] int fd() const override { return -1; }

 private:
  std::string head_;
  std::vector<Range> ranges_;
  std::vector<std::unique_ptr<File>> parts_;
  std::uint64_t size_ = 0;
};

Error not_one_file(const std::string& why) {
  return {Error::Code::kModelFormat, "gguf: the parts are not those of one file: " + why};
}

Result<std::vector<SplitPart>> read_parts(const std::vector<std::unique_ptr<File>>& parts) {
  const GgufLimits limits;
  if (parts.empty() || parts.size() > kMaxParts) {
    return not_one_file(std::to_string(parts.size()) + " parts");
  }
  std::vector<SplitPart> read;
  std::uint64_t tensors = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string label = "part " + std::to_string(i + 1);
    const auto status = parts[i]->status();
    if (!status) {
      return status.error();
    }
    auto part = PartReader{*parts[i], status->size, limits}.run();
    if (!part) {
      return part.error().with_context(label);
    }
    if (part->number.value_or(0) != i || part->count.value_or(1) != parts.size()) {
      return not_one_file(
          label + " calls itself number " + std::to_string(part->number.value_or(0) + 1) + " of " +
          std::to_string(part->count.value_or(1)) + ", there are " + std::to_string(parts.size()));
    }
    tensors += part->tensors.size();
    read.push_back(std::move(*part));
  }
  if (read.front().tensors_in_all && *read.front().tensors_in_all != tensors) {
    return not_one_file("they hold " + std::to_string(tensors) + " tensors, announced are " +
                        std::to_string(*read.front().tensors_in_all));
  }
  if (tensors > limits.max_tensors) {
    return Error{Error::Code::kTooLarge, "gguf: the parts hold too many tensors"};
  }
  return read;
}

}  // namespace

Result<std::unique_ptr<File>> join_gguf(std::vector<std::unique_ptr<File>> parts) {
  const auto read = read_parts(parts);
  if (!read) {
    return read.error();
  }
  const SplitPart& first = read->front();
  std::uint64_t count = 0;
  for (const SplitPart& part : *read) {
    count += part.tensors.size();
  }
  std::string head = "GGUF";
  put_number(head, first.version, 4);
  put_number(head, count, 8);
  put_number(head, first.pairs.size(), 8);
  static_assert(kHeaderBytes == 4 + 4 + 8 + 8);
  for (const std::string& pair : first.pairs) {
    head += pair;
  }
  std::vector<JoinedFile::Range> ranges;
  std::uint64_t base = 0;
  for (std::size_t i = 0; i < read->size(); ++i) {
    const SplitPart& part = (*read)[i];
    for (const SplitTensor& tensor : part.tensors) {
      std::uint64_t offset = 0;
      if (__builtin_add_overflow(base, tensor.offset, &offset)) {
        return not_one_file("a tensor lies beyond every file");
      }
      head += tensor.head;
      put_number(head, offset, 8);
    }
    ranges.push_back({base, part.data_bytes, i, part.data_offset});
    base = round_up(base + part.data_bytes, first.alignment);
  }
  head.resize(round_up(head.size(), first.alignment), '\0');
  for (JoinedFile::Range& range : ranges) {
    range.at += head.size();
  }
  return std::unique_ptr<File>{
      std::make_unique<JoinedFile>(std::move(head), std::move(ranges), std::move(parts))};
}

}  // namespace skerry::registry
