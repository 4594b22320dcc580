#include "plugin_abi.hpp"

#include <algorithm>
#include <cstring>

#include "skerry/runtime/text_filter.hpp"

namespace skerry::runtime {
namespace {

Error::Code code_of(std::uint32_t status) {
  switch (status) {
    case SKERRY_E_INVALID:
      return Error::Code::kInvalidArgument;
    case SKERRY_E_MODEL:
      return Error::Code::kModelLoad;
    case SKERRY_E_MEMORY:
      return Error::Code::kOutOfMemory;
    case SKERRY_E_CANCELLED:
      return Error::Code::kCancelled;
    case SKERRY_E_UNSUPPORTED:
      return Error::Code::kUnimplemented;
    case SKERRY_E_CONTEXT:
      return Error::Code::kContextTooLong;
    case SKERRY_E_NO_SPACE:
      return Error::Code::kResourceExhausted;
    case SKERRY_E_IO:
      return Error::Code::kIo;
    default:
      return Error::Code::kInternal;
  }
}

}  // namespace

std::string AbiError::text() const {
  const std::size_t length = strnlen(message, sizeof message);
  return length == 0 ? "the engine gave no reason"
                     : to_valid_utf8(std::string_view{message, length});
}

Error AbiError::to_error(std::uint32_t status) const {
  return Error{code_of(status), text()};
}

skerry_file to_abi(const PluginFile& file) {
  skerry_file out{};
  out.size = sizeof out;
  out.name = to_abi(file.name);
  out.role = to_abi(file.role);
  out.fd = file.fd;
  out.offset = file.offset;
  out.length = file.length;
  std::memcpy(out.sha256, file.digest.bytes().data(), sizeof out.sha256);
  return out;
}

AbiSource::AbiSource(const std::vector<PluginFile>& files, const Digest& model) {
  files_.reserve(files.size());
  for (const PluginFile& file : files) {
    files_.push_back(to_abi(file));
  }
  source_.size = sizeof source_;
  source_.files = files_.data();
  source_.file_count = files_.size();
  std::memcpy(source_.digest, model.bytes().data(), sizeof source_.digest);
}

std::vector<skerry_option> to_abi(const PluginOptions& options) {
  std::vector<skerry_option> out;
  out.reserve(options.size());
  for (const auto& [key, value] : options) {
    out.push_back(skerry_option{.key = to_abi(key), .value = to_abi(value)});
  }
  return out;
}

skerry_tensor to_abi(const Tensor& tensor) {
  skerry_tensor out{};
  out.size = sizeof out;
  out.name = to_abi(tensor.name);
  out.datatype = static_cast<std::uint32_t>(tensor.type);
  out.rank = static_cast<std::uint32_t>(tensor.shape.size());
  out.shape = tensor.shape.data();
  out.data = tensor.data.data();
  out.bytes = tensor.data.size();
  return out;
}

Result<Tensor> from_abi(const skerry_tensor& tensor) {
  if (tensor.rank > SKERRY_MAX_RANK || (tensor.rank > 0 && tensor.shape == nullptr) ||
      (tensor.bytes > 0 && tensor.data == nullptr) || tensor.datatype > SKERRY_TYPE_BF16) {
    return Error{Error::Code::kPluginInvalid, "the plugin gave a malformed output tensor"};
  }
  Tensor out;
  out.name = to_valid_utf8(from_abi(tensor.name));
  out.type = static_cast<DataType>(tensor.datatype);
  out.shape.assign(tensor.shape, tensor.shape + tensor.rank);
  out.data.assign(static_cast<const char*>(tensor.data), tensor.bytes);
  if (auto checked = check_tensor(out); !checked) {
    return Error{Error::Code::kPluginInvalid,
                 "the plugin gave a malformed output: " + checked.error().message()};
  }
  return out;
}

}  // namespace skerry::runtime
