#pragma once

// What an app names: a slot ("default"), a model ("acme/log-triage"), one version of it
// ("acme/log-triage:1.2.0"), each optionally with a variant ("…@q4_k_m"). The local APIs, the CLI
// and RBAC use it; docs/formats/manifest.md has the grammar.
//
//   reference := ( slot | model [ ":" version ] ) [ "@" variant ]
//   model     := team "/" name

#include <compare>
#include <string>
#include <string_view>

#include "skerry/common/id.hpp"
#include "skerry/common/result.hpp"

namespace skerry::registry {

// `<team>/<name>`.
struct ModelName {
  std::string team;
  std::string name;

  // Both parts by `check_name`; kInvalidArgument says which character of which part is wrong.
  static Result<ModelName> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const { return team + "/" + name; }
  [[nodiscard]] bool empty() const { return team.empty(); }

  friend auto operator<=>(const ModelName&, const ModelName&) = default;
  friend bool operator==(const ModelName&, const ModelName&) = default;
};

struct ModelReference {
  // Exactly one of `slot` and `model` is set.
  SlotName slot;
  ModelName model;
  std::string version;  // empty: whatever is active
  std::string variant;  // empty: whatever was chosen

  static constexpr std::size_t kMaxLength = 320;

  // kInvalidArgument quotes the part that is wrong.
  static Result<ModelReference> parse(std::string_view text);
  [[nodiscard]] bool names_slot() const { return !slot.empty(); }
  [[nodiscard]] std::string to_string() const;

  friend bool operator==(const ModelReference&, const ModelReference&) = default;
};

}  // namespace skerry::registry
