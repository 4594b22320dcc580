#pragma once

// What the catalogue knows of a model that no fleet signed: where it came from, and who vouches for
// it here. An imported model runs only while somebody vouches; `Catalogue::activate` checks that in
// its transaction. The agent's administration writes these, `skerry model list` shows them.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/digest.hpp"

namespace skerry::registry {

enum class VouchKind {
  kRole,   // somebody whom the policy lets vouch
  kSigner  // an OMS signature by somebody on the allow list
};

// "role", "signer".
std::string_view to_string(VouchKind kind) noexcept;

struct Vouch {
  VouchKind kind = VouchKind::kRole;
  // The principal, or the signer: "key <hint>" or "certificate <subject>".
  std::string who;
  // Of a signer: what identifies it, so that a shorter allow list takes effect. The key's hint, or
  // the SHA-256 of the anchor; empty for a role.
  std::string identity;
  std::string reason;
  WallTime at{};
  std::optional<WallTime> revoked_at;
  std::string revoked_by;
  std::string revoked_reason;

  friend bool operator==(const Vouch&, const Vouch&) = default;
};

struct ImportedModel {
  Digest manifest;
  std::string source;  // what the importer was pointed at, for people
  std::string format;
  std::string imported_by;
  WallTime imported_at{};
  std::vector<Vouch> vouches;  // oldest first

  // Somebody vouches for it now.
  [[nodiscard]] bool vouched() const {
    for (const Vouch& vouch : vouches) {
      if (!vouch.revoked_at) {
        return true;
      }
    }
    return false;
  }
  // "unsigned", "vouched" or "revoked".
  [[nodiscard]] std::string_view state() const {
    return vouched() ? "vouched" : (vouches.empty() ? "unsigned" : "revoked");
  }
};

}  // namespace skerry::registry
