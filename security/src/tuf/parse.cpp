#include <algorithm>
#include <set>
#include <utility>

#include "skerry/security/tuf/metadata.hpp"

#include "parse_fields.hpp"

namespace skerry::security::tuf {

namespace {

using fields::bad;
using fields::kMaxKeyId;
using fields::member_array;
using fields::member_object;
using fields::parse_keys;
using fields::parse_role_keys;
using fields::positive;

constexpr std::size_t kDepth = 24;
constexpr std::size_t kMaxHashes = 8;
constexpr std::size_t kMaxTimestampMeta = 16;

Result<std::vector<Signature>> parse_signatures(const Json& file) {
  auto array = member_array(file, "file", "signatures", MetadataLimits::kSignatures);
  if (!array) {
    return std::move(array).error();
  }
  std::vector<Signature> out;
  std::set<std::string> seen;
  for (const Json& element : **array) {
    const std::string path = "signatures[" + std::to_string(out.size()) + "]";
    auto keyid = element.get_string("keyid");
    if (!keyid || keyid->empty() || keyid->size() > kMaxKeyId) {
      return bad(path + ".keyid", "expected a key id");
    }
    // TUF 4.2.1: a key id appears once.
    if (!seen.insert(*keyid).second) {
      return bad(path + ".keyid", "'" + *keyid + "' signs twice");
    }
    auto hex = element.get_string("sig");
    if (!hex) {
      return bad(path + ".sig", "expected a string");
    }
    auto value = from_hex(*hex);
    out.push_back(Signature{std::move(*keyid), value ? std::move(*value) : Bytes{}});
  }
  return out;
}

Result<std::map<std::string, std::string, std::less<>>> parse_hashes(const Json& object,
                                                                     const std::string& path) {
  std::map<std::string, std::string, std::less<>> out;
  for (const auto& [algorithm, value] : *object.object()) {
    const std::string* hex = value.string();
    if (hex == nullptr || !from_hex(*hex) || hex->empty() || hex->size() > 256) {
      return bad(path + "." + algorithm, "expected hexadecimal text");
    }
    std::string lower = *hex;
    std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) {
      return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : static_cast<char>(c);
    });
    out.emplace(algorithm, std::move(lower));
  }
  if (out.empty() || out.size() > kMaxHashes) {
    return bad(path, "expected 1 to 8 hashes");
  }
  return out;
}

Result<MetaFile> parse_meta_file(const Json& value, const std::string& path) {
  if (!value.is_object()) {
    return bad(path, "expected an object");
  }
  MetaFile file;
  auto version = positive(value, path, "version");
  if (!version) {
    return std::move(version).error();
  }
  file.version = *version;
  if (value.find("length") != nullptr) {
    auto length = value.get_int("length");
    if (!length || *length < 1) {
      return bad(path + ".length", "expected a whole number from 1 on");
    }
    file.length = static_cast<std::uint64_t>(*length);
  }
  if (value.find("hashes") != nullptr) {
    auto object = member_object(value, path, "hashes");
    if (!object) {
      return std::move(object).error();
    }
    auto hashes = parse_hashes(**object, path + ".hashes");
    if (!hashes) {
      return std::move(hashes).error();
    }
    file.hashes = std::move(*hashes);
  }
  return file;
}

Result<std::map<std::string, MetaFile, std::less<>>> parse_meta(const Json& signed_part,
                                                                std::size_t most) {
  auto meta = member_object(signed_part, "signed", "meta");
  if (!meta) {
    return std::move(meta).error();
  }
  if ((*meta)->object()->size() > most) {
    return bad("signed.meta", "more than " + std::to_string(most) + " entries");
  }
  std::map<std::string, MetaFile, std::less<>> out;
  for (const auto& [name, value] : *(*meta)->object()) {
    auto file = parse_meta_file(value, "signed.meta." + name);
    if (!file) {
      return std::move(file).error();
    }
    out.emplace(name, std::move(*file));
  }
  return out;
}

Result<TargetFile> parse_target(const Json& value, const std::string& path) {
  if (!value.is_object()) {
    return bad(path, "expected an object");
  }
  TargetFile target;
  auto length = value.get_int("length");
  if (!length || *length < 0) {
    return bad(path + ".length", "expected a whole number from 0 on");
  }
  target.length = static_cast<std::uint64_t>(*length);
  auto object = member_object(value, path, "hashes");
  if (!object) {
    return std::move(object).error();
  }
  auto hashes = parse_hashes(**object, path + ".hashes");
  if (!hashes) {
    return std::move(hashes).error();
  }
  target.hashes = std::move(*hashes);
  if (const Json* custom = value.find("custom")) {
    if (!custom->is_object()) {
      return bad(path + ".custom", "expected an object");
    }
    target.custom = *custom;
    // What the agent acts on has the right type, so that its accessors need not fail.
    if (custom->find("not_after") != nullptr) {
      auto text = custom->get_string("not_after");
      auto time = text ? parse_rfc3339(*text) : Result<WallTime>{text.error()};
      if (!time) {
        return bad(path + ".custom.not_after", time.error().message());
      }
    }
    if (custom->find("release_counter") != nullptr) {
      auto counter = custom->get_int("release_counter");
      if (!counter || *counter < 0) {
        return bad(path + ".custom.release_counter", "expected a whole number from 0 on");
      }
    }
    if (custom->find("min_agent") != nullptr && !custom->get_string("min_agent")) {
      return bad(path + ".custom.min_agent", "expected a string");
    }
  }
  return target;
}

Result<void> parse_content(const Json& signed_part, Root& root) {
  // TUF 4.3: repositories of before consistent snapshots leave it out.
  root.consistent_snapshot = false;
  if (signed_part.find("consistent_snapshot") != nullptr) {
    auto consistent = signed_part.get_bool("consistent_snapshot");
    if (!consistent) {
      return bad("signed.consistent_snapshot", "expected true or false");
    }
    root.consistent_snapshot = *consistent;
  }
  auto keys = parse_keys(signed_part, "signed");
  if (!keys) {
    return std::move(keys).error();
  }
  root.keys = std::move(*keys);
  auto roles = member_object(signed_part, "signed", "roles");
  if (!roles) {
    return std::move(roles).error();
  }
  for (const auto& [name, value] : *(*roles)->object()) {
    const std::string path = "signed.roles." + name;
    // "mirrors" is optional and not used.
    if (!parse_role(name)) {
      continue;
    }
    auto role = parse_role_keys(value, path);
    if (!role) {
      return std::move(role).error();
    }
    root.roles.emplace(name, std::move(*role));
  }
  for (const Role role : {Role::kRoot, Role::kTimestamp, Role::kSnapshot, Role::kTargets}) {
    if (!root.roles.contains(to_string(role))) {
      return bad("signed.roles." + std::string{to_string(role)}, "missing");
    }
  }
  return {};
}

Result<void> parse_content(const Json& signed_part, Timestamp& timestamp) {
  // TUF 4.6: only the snapshot is used.
  auto meta = parse_meta(signed_part, kMaxTimestampMeta);
  if (!meta) {
    return std::move(meta).error();
  }
  const auto snapshot = meta->find("snapshot.json");
  if (snapshot == meta->end()) {
    return bad("signed.meta", "it does not list snapshot.json");
  }
  timestamp.snapshot = std::move(snapshot->second);
  return {};
}

Result<void> parse_content(const Json& signed_part, Snapshot& snapshot) {
  auto meta = parse_meta(signed_part, MetadataLimits::kDelegations + 1);
  if (!meta) {
    return std::move(meta).error();
  }
  snapshot.meta = std::move(*meta);
  if (!snapshot.meta.contains("targets.json")) {
    return bad("signed.meta", "it does not list targets.json");
  }
  return {};
}

Result<void> parse_content(const Json& signed_part, Targets& targets) {
  auto entries = member_object(signed_part, "signed", "targets");
  if (!entries) {
    return std::move(entries).error();
  }
  if ((*entries)->object()->size() > MetadataLimits::kTargets) {
    return bad("signed.targets", "more than 100000 targets");
  }
  for (const auto& [path, value] : *(*entries)->object()) {
    if (auto checked = check_target_path(path); !checked) {
      return bad("signed.targets", checked.error().message());
    }
    auto target = parse_target(value, "signed.targets." + path);
    if (!target) {
      return std::move(target).error();
    }
    targets.targets.emplace(path, std::move(*target));
  }
  if (const Json* delegations = signed_part.find("delegations")) {
    auto parsed = parse_delegations(*delegations);
    if (!parsed) {
      return std::move(parsed).error();
    }
    targets.delegations = std::move(*parsed);
  }
  return {};
}

Result<void> parse_common(const Json& signed_part, Role role, CommonSigned& out) {
  auto type = signed_part.get_string("_type");
  if (!type || *type != to_string(role)) {
    return Error{Error::Code::kMetadataMismatch,
                 "signed._type is '" + (type ? *type : std::string{}) + "', expected '" +
                     std::string{to_string(role)} + "'"};
  }
  auto spec = signed_part.get_string("spec_version");
  if (!spec || !spec->starts_with("1.")) {
    return Error{Error::Code::kMetadataMismatch,
                 "signed.spec_version: only version 1 of the TUF specification is known"};
  }
  auto version = positive(signed_part, "signed", "version");
  if (!version) {
    return std::move(version).error();
  }
  out.version = *version;
  auto expires = signed_part.get_string("expires");
  auto expires_time = expires ? parse_rfc3339(*expires) : Result<WallTime>{expires.error()};
  if (!expires_time) {
    return bad("signed.expires", expires_time.error().message());
  }
  out.expires = *expires_time;
  if (signed_part.find("x-skerry-issued") != nullptr) {
    auto issued = signed_part.get_string("x-skerry-issued");
    auto time = issued ? parse_rfc3339(*issued) : Result<WallTime>{issued.error()};
    if (!time) {
      return bad("signed.x-skerry-issued", time.error().message());
    }
    out.issued = *time;
  }
  return {};
}

template <class T>
Result<Envelope<T>> parse_envelope(std::string_view bytes) {
  constexpr Role kRole = T::kRole;
  const std::string what = std::string{to_string(kRole)} + " metadata";
  auto json = Json::parse(bytes, JsonLimits{MetadataLimits::bytes(kRole), kDepth});
  if (!json) {
    return json.error().with_context(what);
  }
  auto signed_part = member_object(*json, "file", "signed");
  if (!signed_part) {
    return signed_part.error().with_context(what);
  }
  Envelope<T> envelope;
  auto signatures = parse_signatures(*json);
  if (!signatures) {
    return signatures.error().with_context(what);
  }
  envelope.signatures = std::move(*signatures);
  if (auto common = parse_common(**signed_part, kRole, envelope.content); !common) {
    return common.error().with_context(what);
  }
  if (auto content = parse_content(**signed_part, envelope.content); !content) {
    return content.error().with_context(what);
  }
  auto canonical = (*signed_part)->canonical();
  if (!canonical) {
    return Error{Error::Code::kParse, what + ": " + canonical.error().message()};
  }
  envelope.canonical = std::move(*canonical);
  envelope.bytes = std::string{bytes};
  return envelope;
}

}  // namespace

Result<Envelope<Root>> parse_root(std::string_view bytes) {
  return parse_envelope<Root>(bytes);
}

Result<Envelope<Timestamp>> parse_timestamp(std::string_view bytes) {
  return parse_envelope<Timestamp>(bytes);
}

Result<Envelope<Snapshot>> parse_snapshot(std::string_view bytes) {
  return parse_envelope<Snapshot>(bytes);
}

Result<Envelope<Targets>> parse_targets(std::string_view bytes) {
  return parse_envelope<Targets>(bytes);
}

}  // namespace skerry::security::tuf
