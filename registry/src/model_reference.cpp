#include "skerry/registry/model_reference.hpp"

#include "skerry/registry/semantic_version.hpp"

namespace skerry::registry {
namespace {

Error bad(std::string_view text, const std::string& why) {
  return Error{Error::Code::kInvalidArgument,
               "model reference \"" + std::string{text.substr(0, 80)} + "\": " + why};
}

}  // namespace

Result<ModelName> ModelName::parse(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) {
    return bad(text, "a model is <team>/<name>");
  }
  ModelName model{std::string{text.substr(0, slash)}, std::string{text.substr(slash + 1)}};
  if (auto ok = check_name(model.team, "team"); !ok) {
    return bad(text, ok.error().message());
  }
  if (auto ok = check_name(model.name, "model name"); !ok) {
    return bad(text, ok.error().message());
  }
  return model;
}

Result<ModelReference> ModelReference::parse(std::string_view text) {
  if (text.size() > kMaxLength) {
    return bad(text, "longer than 320 characters");
  }
  ModelReference reference;
  std::string_view rest = text;
  if (const auto at = rest.rfind('@'); at != std::string_view::npos) {
    reference.variant = rest.substr(at + 1);
    rest = rest.substr(0, at);
    if (auto ok = check_name(reference.variant, "variant"); !ok) {
      return bad(text, ok.error().message());
    }
  }
  if (rest.find('/') == std::string_view::npos) {
    if (rest.find(':') != std::string_view::npos) {
      return bad(text, "a slot has no version; name a model as <team>/<name>:<version>");
    }
    if (auto ok = check_name(rest, "slot"); !ok) {
      return bad(text, ok.error().message());
    }
    reference.slot = SlotName{std::string{rest}};
    return reference;
  }
  if (const auto colon = rest.find(':'); colon != std::string_view::npos) {
    auto version = SemanticVersion::parse(rest.substr(colon + 1));
    if (!version) {
      return bad(text, version.error().message());
    }
    reference.version = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
  }
  auto model = ModelName::parse(rest);
  if (!model) {
    return std::move(model).error();
  }
  reference.model = std::move(*model);
  return reference;
}

std::string ModelReference::to_string() const {
  std::string text = names_slot() ? slot.str() : model.to_string();
  if (!version.empty()) {
    text += ":" + version;
  }
  if (!variant.empty()) {
    text += "@" + variant;
  }
  return text;
}

}  // namespace skerry::registry
