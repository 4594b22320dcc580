#pragma once

// How a variant was made from another one: which file, by which quantizer of which engine release.
// A signed manifest carries it as the annotation `skerry.derive.<variant>`, so that a device that
// holds the source makes the variant itself; the digest in the manifest decides whether it is the
// same. `skerry model pack` writes it, the agent reads it (docs/formats/manifest.md).

#include <optional>
#include <string>
#include <string_view>

#include "skerry/common/digest.hpp"
#include "skerry/common/result.hpp"
#include "skerry/registry/manifest.hpp"

namespace skerry::registry {

struct Recipe {
  Digest source;       // of the weights it was made from
  std::string plugin;  // "llamacpp"
  std::string engine;  // the release that the plugin reports
  std::string type;    // the quantizer's name: "q4_k_m"

  // "sha256:<hex> <plugin> <engine> <type>"; kManifestInvalid for anything else.
  static Result<Recipe> parse(std::string_view text);
  [[nodiscard]] std::string serialise() const;

  friend bool operator==(const Recipe&, const Recipe&) = default;
};

// The annotation's name.
std::string recipe_key(std::string_view variant);

// What the manifest says of the variant; nothing without the annotation.
Result<std::optional<Recipe>> recipe_of(const Manifest& manifest, const Variant& variant);

}  // namespace skerry::registry
