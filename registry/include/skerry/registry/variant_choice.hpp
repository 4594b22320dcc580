#pragma once

// Picks the variant of a manifest that this device runs, and says why, variant by variant. A pure
// function: the same inputs give the same choice. PREFLIGHT uses it, and `skerry model explain`.

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/digest.hpp"
#include "skerry/common/result.hpp"
#include "skerry/registry/device_profile.hpp"
#include "skerry/registry/manifest.hpp"

namespace skerry::registry {

enum class VariantGoal {
  kQuality,  // the best measured quality that fits
  kSpeed,    // the most tokens per second, then the smallest
  kSize      // the fewest bytes
};

std::string_view to_string(VariantGoal goal) noexcept;
Result<VariantGoal> parse_variant_goal(std::string_view text);

struct VariantPolicy {
  VariantGoal goal = VariantGoal::kQuality;
  std::vector<std::string> allowed;  // variant names that the desired state permits; empty: all
  // Olive's goal grammar; a variant without the figure fails the bound.
  std::optional<double> max_kld;
  std::optional<double> min_tokens_per_second;
  std::optional<double> min_accuracy;
  std::optional<std::uint64_t> max_rss_bytes;
  // Bytes that must stay free on disk after the fetch.
  std::uint64_t disk_reserve = 0;
};

enum class VariantReason {
  kChosen,
  kFitsButLessPreferred,
  kNotAllowed,
  kKnownBad,
  kArchitecture,
  kInstructionSet,
  kRuntimeMissing,
  kRuntimeTooOld,
  kFormat,
  kAccelerator,
  kMemory,
  kDisk,
  kGoalUnmet
};

// Stable text for reports and audit: "memory", "runtime_too_old".
std::string_view to_string(VariantReason reason) noexcept;

struct VariantVerdict {
  std::string variant;
  VariantReason reason = VariantReason::kNotAllowed;
  std::string text;  // "needs 5.2 GB of memory, 3.1 GB available"
  std::uint64_t bytes_to_fetch = 0;

  friend bool operator==(const VariantVerdict&, const VariantVerdict&) = default;
};

struct VariantChoice {
  // The chosen variant's name; empty if none fits.
  std::string variant;
  // One per variant, in the manifest's order.
  std::vector<VariantVerdict> verdicts;

  // "q4_k_m: best accuracy (0.93) of 2 that fit; f16: needs 5.2 GB of memory, 3.1 GB available"
  [[nodiscard]] std::string explain() const;
};

struct VariantContext {
  // Blobs that this device holds already: they need no fetching.
  std::set<Digest> held;
  // Variants of this manifest that failed here before.
  std::set<std::string, std::less<>> known_bad;
};

// Never fails; see VariantChoice::variant.
VariantChoice choose_variant(const Manifest& manifest,
                             const DeviceProfile& device,
                             const VariantPolicy& policy,
                             const VariantContext& context);

// The chosen variant, or kNoFittingVariant with the explanation.
Result<const Variant*> require_variant(const Manifest& manifest, const VariantChoice& choice);

}  // namespace skerry::registry
