#pragma once

// Conversions between the plugin ABI's C types and ours; private to the plugin host.

#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/error.hpp"
#include "skerry/runtime/plugin.h"
#include "skerry/runtime/plugin_host.hpp"

namespace skerry::runtime {

inline skerry_str to_abi(std::string_view text) {
  return skerry_str{.data = text.data(), .size = text.size()};
}
inline std::string_view from_abi(const skerry_str& text) {
  return text.data == nullptr ? std::string_view{} : std::string_view{text.data, text.size};
}

// An error buffer for one call.
struct AbiError : skerry_error {
  AbiError() : skerry_error{} { size = sizeof(skerry_error); }
  // The Error for a status other than SKERRY_OK.
  [[nodiscard]] Error to_error(std::uint32_t status) const;
  [[nodiscard]] std::string text() const;
};

// Arrays that the ABI's structures point into; must outlive the call.
class AbiSource {
 public:
  AbiSource(const std::vector<PluginFile>& files, const Digest& model);
  AbiSource(const AbiSource&) = delete;
  AbiSource& operator=(const AbiSource&) = delete;
  [[nodiscard]] const skerry_model_source* get() const { return &source_; }

 private:
  std::vector<skerry_file> files_;
  skerry_model_source source_{};
};

skerry_file to_abi(const PluginFile& file);
std::vector<skerry_option> to_abi(const PluginOptions& options);
skerry_tensor to_abi(const Tensor& tensor);
// Copies; kPluginInvalid if the plugin's tensor makes no sense.
Result<Tensor> from_abi(const skerry_tensor& tensor);

// Made by plugin_model.cpp, used by plugin_host.cpp.
Result<std::unique_ptr<PluginModel>> make_plugin_model(const skerry_plugin& plugin,
                                                       skerry_model* model,
                                                       const PluginLoad& load,
                                                       const PluginCapabilities& capabilities);

}  // namespace skerry::runtime
