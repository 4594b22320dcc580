#pragma once

// Strong identifiers: a `DeviceId` cannot be passed where a `TenantId` is meant. Each is a
// non-empty string on the wire and in databases; the grammar of names that people type is checked
// by `parse_name`.

#include <compare>
#include <string>
#include <string_view>
#include <utility>

#include "skerry/common/result.hpp"

namespace skerry {

template <class Tag>
class Id {
 public:
  Id() = default;
  explicit Id(std::string value) : value_(std::move(value)) {}

  [[nodiscard]] const std::string& str() const noexcept { return value_; }
  [[nodiscard]] bool empty() const noexcept { return value_.empty(); }

  friend auto operator<=>(const Id&, const Id&) = default;
  friend bool operator==(const Id&, const Id&) = default;

 private:
  std::string value_;
};

using DeviceId = Id<struct DeviceIdTag>;
using TenantId = Id<struct TenantIdTag>;
using SiteId = Id<struct SiteIdTag>;
using SlotName = Id<struct SlotNameTag>;
using RequestId = Id<struct RequestIdTag>;
using RolloutId = Id<struct RolloutIdTag>;

// A name part that people type (team, model, slot, variant, role): 1 to 64 of [a-z0-9._-], first
// one a letter or digit, no "..". kInvalidArgument says which character is wrong. `what` names the
// field in the message.
Result<void> check_name(std::string_view name, std::string_view what);

}  // namespace skerry
