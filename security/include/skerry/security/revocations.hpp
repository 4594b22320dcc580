#pragma once

// Which models must not be started any more, or not run at all: a document that the `security` role
// signs (target `security/revocations`) and devices keep. Made by `skerry repo revoke-model`,
// asked by the agent before every activation and for what runs. Format:
// docs/formats/revocations.md.

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/digest.hpp"
#include "skerry/common/json.hpp"
#include "skerry/common/result.hpp"

namespace skerry::security {

// In order of strength. kWarn: told and nothing else. kBlockNew: no new activation; what runs goes
// on. kStop: as that, and the only thing that ends a running model.
enum class RevocationEffect { kWarn, kBlockNew, kStop };

// "warn", "block-new", "stop".
std::string_view to_string(RevocationEffect effect) noexcept;
// kInvalidArgument names the three.
Result<RevocationEffect> parse_revocation_effect(std::string_view text);

// Names what it revokes in exactly one way: a manifest, a blob of any variant, or a model by a
// pattern, then of some versions or of release counters below a floor.
struct Revocation {
  std::string id;
  RevocationEffect effect = RevocationEffect::kBlockNew;
  std::optional<Digest> manifest;
  std::optional<Digest> blob;
  std::string model;
  std::vector<std::string> versions;
  std::optional<std::uint64_t> below_counter;
  std::string reason;

  // "revoked (stop) by CVE-2026-7: poisoned weights"
  [[nodiscard]] std::string describe() const;
};

// What is asked about.
struct RevocationSubject {
  std::string model;
  std::string version;
  std::uint64_t release_counter = 0;
  Digest manifest;
  std::set<Digest> blobs;
};

// Limits of a document; more is kParse.
struct RevocationLimits {
  static constexpr std::size_t kBytes = 4U << 20U;
  static constexpr std::size_t kEntries = 10'000;
  static constexpr std::size_t kVersions = 64;
  static constexpr std::size_t kPattern = 256;
  static constexpr std::size_t kReason = 400;
};

class Revocations {
 public:
  // Revokes nothing; version 0.
  Revocations() = default;
  // kParse names the path of what is wrong: "entries[2].effect: …".
  static Result<Revocations> parse(std::string_view document);

  [[nodiscard]] std::int64_t version() const { return version_; }
  [[nodiscard]] const std::vector<Revocation>& entries() const { return entries_; }

  // The strongest entry that names the subject; of equals the first. Null if none does.
  [[nodiscard]] const Revocation* find(const RevocationSubject& subject) const;

  // Adds or replaces the entry of that id; kInvalidArgument if it is not a valid one.
  Result<void> put(Revocation entry);
  // kNotFound if there is none.
  Result<void> remove(std::string_view id);
  void set_version(std::int64_t version) { version_ = version; }
  // The document, indented, as `parse` reads it.
  [[nodiscard]] std::string document() const;

 private:
  std::int64_t version_ = 0;
  std::vector<Revocation> entries_;
};

}  // namespace skerry::security
