#pragma once

// Semantic Versioning 2.0.0: "1.2.0", "1.2.0-rc.1". Model versions and the engines' minimum
// versions are compared by it. Build metadata ("+…") is refused: two versions that compare equal
// would name different bytes.

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/result.hpp"

namespace skerry::registry {

class SemanticVersion {
 public:
  // 0.0.0
  SemanticVersion() = default;

  // At most 64 characters; kParse says what is wrong with it.
  static Result<SemanticVersion> parse(std::string_view text);
  // As `parse`, but also accepts a leading "v", missing parts ("1.18" is 1.18.0) and ignores build
  // metadata: engines name their versions freely.
  static Result<SemanticVersion> parse_loose(std::string_view text);

  [[nodiscard]] std::string to_string() const;

  // Precedence as in SemVer §11: a pre-release comes before its release.
  friend std::strong_ordering operator<=>(const SemanticVersion& a, const SemanticVersion& b);
  friend bool operator==(const SemanticVersion&, const SemanticVersion&) = default;

 private:
  std::uint32_t major_ = 0;
  std::uint32_t minor_ = 0;
  std::uint32_t patch_ = 0;
  std::vector<std::string> pre_release_;
};

}  // namespace skerry::registry
