#include "layout.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "skerry/common/json.hpp"
#include "skerry/registry/gguf_layout.hpp"

#include "block_codec.hpp"
#include "container.hpp"

namespace skerry::registry::delta {
namespace {

// safetensors' own limit is 100 MB; models stay far below this one.
constexpr std::uint64_t kMaxSafetensorsHeader = 16U << 20U;

std::optional<std::uint8_t> known_coding(std::uint32_t type) {
  const auto number = static_cast<std::uint8_t>(type);
  return type < 256 && coding_unit(number) ? std::optional{number} : std::nullopt;
}

std::vector<Tensor> gguf_tensors(File& file) {
  GgufLimits limits;
  limits.require_tensors = false;
  const auto layout = read_gguf_layout(file, limits);
  std::vector<Tensor> tensors;
  if (layout) {
    for (const GgufTensor& tensor : layout->tensors) {
      std::string shape = std::to_string(tensor.type);
      for (const std::uint64_t dim : tensor.dims) {
        shape += ' ' + std::to_string(dim);
      }
      tensors.push_back(
          {tensor.name, shape, known_coding(tensor.type), tensor.offset, tensor.bytes});
    }
  }
  return tensors;
}

std::optional<std::uint8_t> safetensors_coding(std::string_view dtype) {
  return dtype == "BF16"  ? std::optional{static_cast<std::uint8_t>(Coding::kBf16)}
         : dtype == "F16" ? std::optional{static_cast<std::uint8_t>(Coding::kF16)}
         : dtype == "F32" ? std::optional{static_cast<std::uint8_t>(Coding::kF32)}
                          : std::nullopt;
}

// { "name": { "dtype": "BF16", "shape": [..], "data_offsets": [begin, end] }, "__metadata__": {..}
// }
std::vector<Tensor> safetensors_tensors(File& file, std::uint64_t size) {
  std::array<std::uint8_t, 8> length_bytes{};
  if (size < 10 || !read_exactly(file, 0, length_bytes)) {
    return {};
  }
  std::uint64_t length = 0;
  for (std::size_t i = 8; i-- > 0;) {
    length = length << 8U | length_bytes[i];
  }
  if (length < 2 || length > kMaxSafetensorsHeader || length > size - 8) {
    return {};
  }
  Bytes text(static_cast<std::size_t>(length));
  if (!read_exactly(file, 8, text)) {
    return {};
  }
  const auto header = Json::parse(as_text(text), {.bytes = kMaxSafetensorsHeader, .depth = 8});
  if (!header || !header->is_object()) {
    return {};
  }
  const std::uint64_t data = 8 + length;
  std::vector<Tensor> tensors;
  for (const auto& [name, entry] : *header->object()) {
    if (name == "__metadata__") {
      continue;
    }
    const Json* dtype = entry.find("dtype");
    const Json* shape = entry.find("shape");
    const Json* offsets = entry.find("data_offsets");
    if (dtype == nullptr || dtype->string() == nullptr || shape == nullptr || offsets == nullptr ||
        !offsets->is_array() || offsets->array()->size() != 2) {
      return {};
    }
    const auto begin = (*offsets->array())[0].as_int();
    const auto end = (*offsets->array())[1].as_int();
    if (!begin || !end || *begin < 0 || *end < *begin ||
        static_cast<std::uint64_t>(*end) > size - data) {
      return {};
    }
    tensors.push_back({name,
                       *dtype->string() + shape->dump(),
                       safetensors_coding(*dtype->string()),
                       data + static_cast<std::uint64_t>(*begin),
                       static_cast<std::uint64_t>(*end - *begin)});
  }
  return tensors;
}

}  // namespace

std::vector<Tensor> tensors_of(File& file, std::uint64_t size) {
  std::array<std::uint8_t, 4> magic{};
  const bool gguf = size >= 4 && read_exactly(file, 0, magic) &&
                    as_text(ByteView{magic}) == std::string_view{"GGUF"};
  auto tensors = gguf ? gguf_tensors(file) : safetensors_tensors(file, size);
  std::erase_if(tensors, [](const Tensor& tensor) { return tensor.bytes == 0; });
  std::sort(tensors.begin(), tensors.end(), [](const Tensor& a, const Tensor& b) {
    return a.offset < b.offset;
  });
  std::uint64_t end = 0;
  for (Tensor& tensor : tensors) {
    if (tensor.offset < end || tensor.offset > size || tensor.bytes > size - tensor.offset) {
      return {};
    }
    end = tensor.offset + tensor.bytes;
    if (tensor.coding && tensor.bytes % *coding_unit(*tensor.coding) != 0) {
      tensor.coding.reset();
    }
  }
  return tensors;
}

}  // namespace skerry::registry::delta
