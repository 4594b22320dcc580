#include "model_signature.hpp"

#include <filesystem>

#include <fmt/format.h>

#include "skerry/security/model_signing/model_tree.hpp"

namespace skerry::cli {

std::string default_signature(const std::string& model) {
  std::error_code ec;
  std::filesystem::path path{model};
  if (std::filesystem::is_directory(path, ec)) {
    return (path / "model.sig").string();
  }
  path += ".sig";
  return path.string();
}

Result<std::vector<std::string>> ignored_in_model(const std::string& model,
                                                  const std::vector<std::string>& paths,
                                                  const std::string& signature) {
  std::vector<std::string> out;
  for (const std::string& path : paths) {
    const auto full = std::filesystem::path{model} / path;
    std::string inside = security::model_signing::path_inside(model, full);
    if (inside.empty()) {
      return Error{Error::Code::kInvalidArgument,
                   fmt::format("--ignore {} is not inside {}", path, model)};
    }
    out.push_back(std::move(inside));
  }
  std::string itself = security::model_signing::path_inside(model, signature);
  if (!itself.empty()) {
    out.push_back(std::move(itself));
  }
  return out;
}

}  // namespace skerry::cli
