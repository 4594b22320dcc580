#include "skerry/security/revocations.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "skerry/common/id.hpp"
#include "skerry/security/rbac.hpp"

#include "strict_object.hpp"

namespace skerry::security {
namespace {

constexpr std::string_view kRevocationsFormat = "skerry-revocations/1";
constexpr std::size_t kRevocationsDepth = 8;
constexpr std::size_t kDigestText = 71;
constexpr std::int64_t kAnyNumber = std::numeric_limits<std::int64_t>::max();
constexpr std::string_view kPatternCharacters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+/*?";

struct EffectName {
  RevocationEffect effect;
  std::string_view name;
};
constexpr std::array kEffects{EffectName{RevocationEffect::kWarn, "warn"},
                              EffectName{RevocationEffect::kBlockNew, "block-new"},
                              EffectName{RevocationEffect::kStop, "stop"}};

bool is_pattern(std::string_view text) {
  return text.find_first_not_of(kPatternCharacters) == std::string_view::npos;
}

std::optional<Digest> read_digest(StrictObject& object, std::string_view key) {
  const std::string text = object.text(key, kDigestText, false);
  if (text.empty()) {
    return std::nullopt;
  }
  const auto digest = Digest::parse(text);
  if (!digest) {
    object.fail(key, digest.error().message());
    return std::nullopt;
  }
  return *digest;
}

Result<Revocation> read_entry(const Json& value, const std::string& path) {
  StrictObject object{value, path, Error::Code::kParse};
  Revocation entry;
  entry.id = object.text("id", 64);
  if (auto named = check_name(entry.id, "id"); !named) {
    object.fail("id", named.error().message());
  }
  if (const auto effect = parse_revocation_effect(object.text("effect", 16)); effect) {
    entry.effect = *effect;
  } else {
    object.fail("effect", effect.error().message());
  }
  entry.manifest = read_digest(object, "manifest");
  entry.blob = read_digest(object, "blob");
  entry.model = object.text("model", RevocationLimits::kPattern, false);
  const bool of_versions = object.has("versions");
  entry.versions =
      object.texts("versions", RevocationLimits::kVersions, RevocationLimits::kPattern, false);
  const bool of_counter = object.has("below_counter");
  const std::int64_t counter = object.number("below_counter", 1, kAnyNumber, false);
  if (of_counter) {
    entry.below_counter = static_cast<std::uint64_t>(counter);
  }
  entry.reason = object.text("reason", RevocationLimits::kReason);
  const int ways = (entry.manifest ? 1 : 0) + (entry.blob ? 1 : 0) + (entry.model.empty() ? 0 : 1);
  if (ways != 1) {
    object.fail("id", "name what is revoked by exactly one of manifest, blob, model");
  }
  if ((of_versions || of_counter) && entry.model.empty()) {
    object.fail("model", "versions and below_counter go with a model");
  }
  if (of_versions && of_counter) {
    object.fail("below_counter", "either versions or below_counter, not both");
  }
  if (!entry.model.empty() &&
      (!is_pattern(entry.model) ||
       (entry.model != "*" && std::count(entry.model.begin(), entry.model.end(), '/') != 1))) {
    object.fail("model", "must be a pattern of team/name, or \"*\"");
  }
  for (const std::string& version : entry.versions) {
    if (!is_pattern(version)) {
      object.fail("versions", "'" + version + "' is no pattern of a version");
    }
  }
  if (auto done = object.finish(); !done) {
    return done.error();
  }
  return entry;
}

Json write_entry(const Revocation& entry) {
  Json::Object out;
  out.emplace("id", entry.id);
  out.emplace("effect", to_string(entry.effect));
  if (entry.manifest) {
    out.emplace("manifest", entry.manifest->to_string());
  }
  if (entry.blob) {
    out.emplace("blob", entry.blob->to_string());
  }
  if (!entry.model.empty()) {
    out.emplace("model", entry.model);
  }
  if (!entry.versions.empty()) {
    Json::Array versions;
    for (const std::string& version : entry.versions) {
      versions.emplace_back(version);
    }
    out.emplace("versions", std::move(versions));
  }
  if (entry.below_counter) {
    out.emplace("below_counter", *entry.below_counter);
  }
  out.emplace("reason", entry.reason);
  return Json{std::move(out)};
}

bool entry_names(const Revocation& entry, const RevocationSubject& subject) {
  if (entry.manifest) {
    return *entry.manifest == subject.manifest;
  }
  if (entry.blob) {
    return subject.blobs.contains(*entry.blob);
  }
  if (entry.model != "*" && !glob_matches(entry.model, subject.model)) {
    return false;
  }
  if (entry.below_counter) {
    return subject.release_counter < *entry.below_counter;
  }
  return entry.versions.empty() ||
         std::any_of(entry.versions.begin(), entry.versions.end(), [&](const std::string& pattern) {
           return glob_matches(pattern, subject.version);
         });
}

}  // namespace

std::string_view to_string(RevocationEffect effect) noexcept {
  for (const EffectName& entry : kEffects) {
    if (entry.effect == effect) {
      return entry.name;
    }
  }
  return "unknown";
}

Result<RevocationEffect> parse_revocation_effect(std::string_view text) {
  for (const EffectName& entry : kEffects) {
    if (entry.name == text) {
      return entry.effect;
    }
  }
  return Error{Error::Code::kInvalidArgument, "expected \"warn\", \"block-new\" or \"stop\""};
}

std::string Revocation::describe() const {
  return "revoked (" + std::string{to_string(effect)} + ") by " + id + ": " + reason;
}

Result<Revocations> Revocations::parse(std::string_view document) {
  const auto json = Json::parse(document, JsonLimits{RevocationLimits::kBytes, kRevocationsDepth});
  if (!json) {
    return Error{Error::Code::kParse, json.error().message()};
  }
  StrictObject object{*json, {}, Error::Code::kParse};
  if (object.text("format", 64) != kRevocationsFormat) {
    object.fail("format", "expected \"" + std::string{kRevocationsFormat} + "\"");
  }
  Revocations out;
  out.version_ = object.number("version", 1, kAnyNumber);
  const Json::Array& entries = object.array("entries", RevocationLimits::kEntries);
  if (auto done = object.finish(); !done) {
    return done.error();
  }
  std::set<std::string> ids;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::string path = "entries[" + std::to_string(i) + "]";
    auto entry = read_entry(entries[i], path);
    if (!entry) {
      return std::move(entry).error();
    }
    if (!ids.insert(entry->id).second) {
      return Error{Error::Code::kParse, path + ".id: '" + entry->id + "' is used twice"};
    }
    out.entries_.push_back(std::move(*entry));
  }
  return out;
}

const Revocation* Revocations::find(const RevocationSubject& subject) const {
  const Revocation* strongest = nullptr;
  for (const Revocation& entry : entries_) {
    if ((strongest == nullptr || entry.effect > strongest->effect) && entry_names(entry, subject)) {
      strongest = &entry;
    }
  }
  return strongest;
}

Result<void> Revocations::put(Revocation entry) {
  const auto checked = read_entry(write_entry(entry), "entry");
  if (!checked) {
    return Error{Error::Code::kInvalidArgument, checked.error().message()};
  }
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Revocation& other) {
    return other.id == entry.id;
  });
  if (found != entries_.end()) {
    *found = std::move(entry);
  } else if (entries_.size() == RevocationLimits::kEntries) {
    return Error{Error::Code::kTooLarge, "10000 revocations are the most; remove old ones"};
  } else {
    entries_.push_back(std::move(entry));
  }
  return {};
}

Result<void> Revocations::remove(std::string_view id) {
  const auto removed =
      std::erase_if(entries_, [id](const Revocation& entry) { return entry.id == id; });
  if (removed == 0) {
    return Error{Error::Code::kNotFound, "no revocation has the id " + std::string{id}};
  }
  return {};
}

std::string Revocations::document() const {
  Json::Array entries;
  for (const Revocation& entry : entries_) {
    entries.push_back(write_entry(entry));
  }
  Json::Object out;
  out.emplace("format", kRevocationsFormat);
  out.emplace("version", version_);
  out.emplace("entries", std::move(entries));
  return Json{std::move(out)}.dump_pretty() + "\n";
}

}  // namespace skerry::security
