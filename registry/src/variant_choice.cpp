#include "skerry/registry/variant_choice.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

namespace skerry::registry {
namespace {

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits{"B", "kB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1000 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return text.data();
}

std::string human_number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.4g", value);
  return text.data();
}

std::optional<double> quality(const Variant& variant, std::string_view key) {
  const auto found = variant.quality.find(key);
  return found == variant.quality.end() ? std::nullopt : std::optional{found->second};
}

bool contains(const std::vector<std::string>& list, std::string_view value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

struct Finding {
  VariantReason reason;
  std::string text;
};

// Why `variant` cannot run here, or nothing. The checks come in the order in which an operator
// would fix them: permission, machine, engine, memory, disk, goal.
class Judge {
 public:
  Judge(const Manifest& manifest,
        const DeviceProfile& device,
        const VariantPolicy& policy,
        const VariantContext& context)
      : manifest_(manifest), device_(device), policy_(policy), context_(context) {}

  std::optional<Finding> reject(const Variant& variant) const {
    for (const auto check : {&Judge::permission,
                             &Judge::machine,
                             &Judge::engine,
                             &Judge::memory,
                             &Judge::disk,
                             &Judge::goal}) {
      if (auto finding = (this->*check)(variant); finding) {
        return finding;
      }
    }
    return std::nullopt;
  }

  std::uint64_t bytes_to_fetch(const Variant& variant) const {
    std::uint64_t bytes = 0;
    std::set<Digest> counted;
    for (const auto& file : manifest_.files_for(variant)) {
      if (context_.held.count(file.digest) == 0 && counted.insert(file.digest).second) {
        bytes += file.size;
      }
    }
    return bytes;
  }

 private:
  std::optional<Finding> permission(const Variant& variant) const {
    if (!policy_.allowed.empty() && !contains(policy_.allowed, variant.name)) {
      return Finding{VariantReason::kNotAllowed, "not among the variants that are asked for"};
    }
    if (context_.known_bad.count(variant.name) != 0) {
      return Finding{VariantReason::kKnownBad, "failed on this device before"};
    }
    return std::nullopt;
  }

  std::optional<Finding> machine(const Variant& variant) const {
    if (!variant.needs.arch.empty() && !contains(variant.needs.arch, device_.arch)) {
      return Finding{VariantReason::kArchitecture, "is not for the architecture " + device_.arch};
    }
    for (const auto& flag : variant.needs.isa) {
      if (device_.isa.count(flag) == 0) {
        return Finding{VariantReason::kInstructionSet,
                       "needs the instruction set " + flag + ", which this CPU lacks"};
      }
    }
    return std::nullopt;
  }

  std::optional<Finding> engine(const Variant& variant) const {
    const auto& needs = variant.needs;
    const auto found = std::find_if(
        device_.runtimes.begin(), device_.runtimes.end(), [&](const RuntimeProfile& r) {
          return r.plugin == needs.runtime;
        });
    if (found == device_.runtimes.end()) {
      return Finding{VariantReason::kRuntimeMissing,
                     "needs the runtime plugin " + needs.runtime + ", which is not installed"};
    }
    if (found->engine_version < needs.runtime_min_version) {
      return Finding{VariantReason::kRuntimeTooOld,
                     "needs " + needs.runtime + " " + needs.runtime_min_version.to_string() +
                         " or newer, " + found->engine_version.to_string() + " is installed"};
    }
    if (!contains(found->formats, variant.format)) {
      return Finding{
          VariantReason::kFormat,
          "has the format " + variant.format + ", which " + needs.runtime + " does not read"};
    }
    if (!contains(found->accelerators, needs.accelerator)) {
      return Finding{VariantReason::kAccelerator,
                     "needs the accelerator " + needs.accelerator + ", which " + needs.runtime +
                         " does not have here"};
    }
    return std::nullopt;
  }

  std::optional<Finding> memory(const Variant& variant) const {
    const auto copies = device_.encrypts ? variant.total_size() : 0;
    const auto needed = variant.needs.ram_bytes + copies;
    if (needed > device_.memory_available) {
      return Finding{VariantReason::kMemory,
                     "needs " + human_bytes(needed) + " of memory" +
                         (copies > 0 ? " (decrypted files included), " : ", ") +
                         human_bytes(device_.memory_available) + " available"};
    }
    return std::nullopt;
  }

  std::optional<Finding> disk(const Variant& variant) const {
    const auto fetch = bytes_to_fetch(variant);
    // What the manifest asks for beyond its files (unpacking, caches) is needed even if all are
    // here.
    const auto extra =
        variant.needs.disk_bytes - std::min(variant.needs.disk_bytes, variant.total_size());
    const auto free = device_.disk_free - std::min(device_.disk_free, policy_.disk_reserve);
    if (fetch + extra > free) {
      return Finding{VariantReason::kDisk,
                     "needs " + human_bytes(fetch + extra) + " on disk, " + human_bytes(free) +
                         " free beyond the reserve"};
    }
    return std::nullopt;
  }

  static std::optional<Finding> bound(const Variant& variant,
                                      std::string_view key,
                                      std::optional<double> limit,
                                      bool is_maximum) {
    if (!limit) {
      return std::nullopt;
    }
    const auto value = quality(variant, key);
    const std::string wish =
        std::string{key} + (is_maximum ? " of at most " : " of at least ") + human_number(*limit);
    if (!value) {
      return Finding{VariantReason::kGoalUnmet, "goal is a " + wish + ", none was measured"};
    }
    if (is_maximum ? *value > *limit : *value < *limit) {
      return Finding{VariantReason::kGoalUnmet,
                     "goal is a " + wish + ", measured " + human_number(*value)};
    }
    return std::nullopt;
  }

  std::optional<Finding> goal(const Variant& variant) const {
    std::optional<double> max_rss;
    if (policy_.max_rss_bytes) {
      max_rss = static_cast<double>(*policy_.max_rss_bytes);
    }
    for (auto finding : {bound(variant, "kld", policy_.max_kld, true),
                         bound(variant, "accuracy", policy_.min_accuracy, false),
                         bound(variant, "tokens_per_second", policy_.min_tokens_per_second, false),
                         bound(variant, "rss_bytes", max_rss, true)}) {
      if (finding) {
        return finding;
      }
    }
    return std::nullopt;
  }

  const Manifest& manifest_;
  const DeviceProfile& device_;
  const VariantPolicy& policy_;
  const VariantContext& context_;
};

// One figure by which two variants are compared; a variant without it comes last.
struct Figure {
  const char* name;
  bool higher_is_better;
  std::optional<double> (*value)(const Variant&);
};

constexpr Figure kAccuracy{
    "accuracy", true, [](const Variant& v) { return quality(v, "accuracy"); }};
constexpr Figure kKld{"kld", false, [](const Variant& v) { return quality(v, "kld"); }};
constexpr Figure kPerplexity{
    "perplexity", false, [](const Variant& v) { return quality(v, "perplexity"); }};
constexpr Figure kSpeed{
    "tokens_per_second", true, [](const Variant& v) { return quality(v, "tokens_per_second"); }};
constexpr Figure kBytes{"size", false, [](const Variant& v) {
                          return std::optional{static_cast<double>(v.total_size())};
                        }};

std::vector<Figure> figures_for(VariantGoal goal) {
  switch (goal) {
    case VariantGoal::kQuality:
      return {kAccuracy, kKld, kPerplexity, kSpeed, kBytes};
    case VariantGoal::kSpeed:
      return {kSpeed, kBytes, kAccuracy};
    case VariantGoal::kSize:
      return {kBytes, kSpeed, kAccuracy};
  }
  return {};
}

struct Comparison {
  bool better = false;
  std::string why;
};

// Whether `a` is to be taken before `b`, and by what.
Comparison compare(const Variant& a, const Variant& b, VariantGoal goal) {
  for (const auto& figure : figures_for(goal)) {
    const auto of_a = figure.value(a);
    const auto of_b = figure.value(b);
    if (of_a == of_b) {
      continue;
    }
    if (!of_a || !of_b) {
      return {of_a.has_value(), std::string{figure.name} + " was measured"};
    }
    const bool better = figure.higher_is_better ? *of_a > *of_b : *of_a < *of_b;
    return {
        better,
        std::string{figure.name} + " " + human_number(*of_a) + " against " + human_number(*of_b)};
  }
  return {false, "equal figures"};
}

// The publisher's order decides where the goal is quality; it knows more than two figures tell.
std::size_t preference(const Manifest& manifest, const Variant& variant) {
  const auto found = std::find(manifest.prefer.begin(), manifest.prefer.end(), variant.name);
  return static_cast<std::size_t>(found - manifest.prefer.begin());
}

Comparison rank(const Manifest& manifest, const Variant& a, const Variant& b, VariantGoal goal) {
  if (goal == VariantGoal::kQuality) {
    const auto of_a = preference(manifest, a);
    const auto of_b = preference(manifest, b);
    if (of_a != of_b) {
      return {of_a < of_b, "the publisher's order"};
    }
  }
  return compare(a, b, goal);
}

}  // namespace

std::string_view to_string(VariantGoal goal) noexcept {
  switch (goal) {
    case VariantGoal::kQuality:
      return "quality";
    case VariantGoal::kSpeed:
      return "speed";
    case VariantGoal::kSize:
      return "size";
  }
  return "quality";
}

Result<VariantGoal> parse_variant_goal(std::string_view text) {
  for (const auto goal : {VariantGoal::kQuality, VariantGoal::kSpeed, VariantGoal::kSize}) {
    if (to_string(goal) == text) {
      return goal;
    }
  }
  return Error{
      Error::Code::kInvalidArgument,
      "variant goal \"" + std::string{text.substr(0, 40)} + "\" must be quality, speed or size"};
}

std::string_view to_string(VariantReason reason) noexcept {
  switch (reason) {
    case VariantReason::kChosen:
      return "chosen";
    case VariantReason::kFitsButLessPreferred:
      return "less_preferred";
    case VariantReason::kNotAllowed:
      return "not_allowed";
    case VariantReason::kKnownBad:
      return "known_bad";
    case VariantReason::kArchitecture:
      return "architecture";
    case VariantReason::kInstructionSet:
      return "instruction_set";
    case VariantReason::kRuntimeMissing:
      return "runtime_missing";
    case VariantReason::kRuntimeTooOld:
      return "runtime_too_old";
    case VariantReason::kFormat:
      return "format";
    case VariantReason::kAccelerator:
      return "accelerator";
    case VariantReason::kMemory:
      return "memory";
    case VariantReason::kDisk:
      return "disk";
    case VariantReason::kGoalUnmet:
      return "goal_unmet";
  }
  return "unknown";
}

std::string VariantChoice::explain() const {
  std::string text;
  for (const bool chosen : {true, false}) {
    for (const auto& verdict : verdicts) {
      if ((verdict.reason == VariantReason::kChosen) == chosen) {
        text += (text.empty() ? "" : "; ") + verdict.variant + ": " + verdict.text;
      }
    }
  }
  return text;
}

VariantChoice choose_variant(const Manifest& manifest,
                             const DeviceProfile& device,
                             const VariantPolicy& policy,
                             const VariantContext& context) {
  const Judge judge{manifest, device, policy, context};
  VariantChoice choice;
  std::vector<std::size_t> fitting;
  for (std::size_t i = 0; i < manifest.variants.size(); ++i) {
    const Variant& variant = manifest.variants[i];
    VariantVerdict verdict{
        variant.name, VariantReason::kFitsButLessPreferred, "", judge.bytes_to_fetch(variant)};
    if (auto finding = judge.reject(variant); finding) {
      verdict.reason = finding->reason;
      verdict.text = std::move(finding->text);
    } else {
      fitting.push_back(i);
    }
    choice.verdicts.push_back(std::move(verdict));
  }
  if (fitting.empty()) {
    return choice;
  }
  std::size_t best = fitting.front();
  for (const auto i : fitting) {
    if (rank(manifest, manifest.variants[i], manifest.variants[best], policy.goal).better) {
      best = i;
    }
  }
  choice.variant = manifest.variants[best].name;
  for (const auto i : fitting) {
    if (i != best) {
      choice.verdicts[i].text =
          "fits, but " + choice.variant + " is preferred for " +
          std::string{to_string(policy.goal)} + " (" +
          rank(manifest, manifest.variants[best], manifest.variants[i], policy.goal).why + ")";
    }
  }
  auto& verdict = choice.verdicts[best];
  verdict.reason = VariantReason::kChosen;
  verdict.text = "best for " + std::string{to_string(policy.goal)} + " of " +
                 std::to_string(fitting.size()) + " that fit";
  return choice;
}

Result<const Variant*> require_variant(const Manifest& manifest, const VariantChoice& choice) {
  const Variant* variant = choice.variant.empty() ? nullptr : manifest.find_variant(choice.variant);
  if (variant == nullptr) {
    return Error{Error::Code::kNoFittingVariant,
                 "no variant of " + manifest.model.to_string() + " " +
                     manifest.version.to_string() + " fits this device: " + choice.explain()};
  }
  return variant;
}

}  // namespace skerry::registry
