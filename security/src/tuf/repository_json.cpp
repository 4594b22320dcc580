#include "repository_json.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace skerry::security::tuf {

namespace {

constexpr std::string_view kSpecVersion = "1.0.34";
constexpr std::size_t kRepositoryDepth = 24;

template <class T>
Result<AnyMetadata> any_of(Result<Envelope<T>> envelope) {
  if (!envelope) {
    return std::move(envelope).error();
  }
  return AnyMetadata{envelope->content.version,
                     envelope->content.expires,
                     std::move(envelope->signatures),
                     std::move(envelope->canonical)};
}

Result<Json> parse_file(std::string_view bytes) {
  return Json::parse(bytes, JsonLimits{MetadataLimits::kTargetsBytes, kRepositoryDepth});
}

// What a signer of targets gives away: to whom, for which paths.
std::string describe_delegation(const DelegatedRole& role) {
  std::string text = "  delegates to " + role.name + ": " + std::to_string(role.keys.threshold) +
                     " of " + std::to_string(role.keys.keyids.size()) + " keys" +
                     (role.terminating ? ", terminating\n" : "\n");
  for (const std::string& path : role.paths) {
    text += "    " + path + "\n";
  }
  for (const std::string& prefix : role.path_hash_prefixes) {
    text += "    paths whose hash begins with " + prefix + "\n";
  }
  for (const std::string& keyid : role.keys.keyids) {
    text += "    " + keyid + "\n";
  }
  return text;
}

}  // namespace

Result<AnyMetadata> parse_any(const RoleName& role, std::string_view bytes) {
  switch (shape_of(role)) {
    case Role::kTimestamp:
      return any_of(parse_timestamp(bytes));
    case Role::kSnapshot:
      return any_of(parse_snapshot(bytes));
    case Role::kTargets:
      return any_of(parse_targets(bytes));
    case Role::kRoot:
      break;
  }
  return any_of(parse_root(bytes));
}

Result<Json> encode_role(const RoleSetup& setup, const RoleName& role, Json::Object& keys) {
  const std::string& name = role.text();
  const auto count = static_cast<std::int64_t>(setup.keys.size());
  if (setup.threshold < 1 || setup.threshold > count) {
    return Error{Error::Code::kInvalidArgument,
                 "role " + name + ": a threshold of " + std::to_string(setup.threshold) + " with " +
                     std::to_string(count) + " keys; it must be between 1 and that"};
  }
  const bool online = role == Role::kSnapshot || role == Role::kTimestamp;
  if (online && setup.threshold != 1) {
    return Error{Error::Code::kInvalidArgument,
                 "role " + name + " is signed by one online key: its threshold is 1"};
  }
  std::set<std::string> ids;
  Json::Array keyids;
  for (const PublicKey& key : setup.keys) {
    const std::string keyid = key.key_id();
    if (!ids.insert(keyid).second) {
      return Error{Error::Code::kInvalidArgument,
                   "role " + name + ": key " + keyid.substr(0, 16) + " is given twice"};
    }
    keyids.emplace_back(keyid);
    keys.insert_or_assign(keyid, key.to_tuf_json());
  }
  Json::Object out;
  out.emplace("keyids", std::move(keyids));
  out.emplace("threshold", setup.threshold);
  return Json{std::move(out)};
}

Json::Object common_fields(Role role, std::int64_t version, WallTime expires, WallTime issued) {
  Json::Object out;
  out.emplace("_type", std::string{to_string(role)});
  out.emplace("spec_version", kSpecVersion);
  out.emplace("version", version);
  out.emplace("expires", to_rfc3339(expires));
  out.emplace("x-skerry-issued", to_rfc3339(issued));
  return out;
}

Result<Json::Object> make_root(const RootSetup& setup,
                               std::int64_t version,
                               WallTime expires,
                               WallTime issued) {
  Json::Object keys;
  Json::Object roles;
  for (const auto& [role, role_setup] : {std::pair{Role::kRoot, &setup.root},
                                         std::pair{Role::kTargets, &setup.targets},
                                         std::pair{Role::kSnapshot, &setup.snapshot},
                                         std::pair{Role::kTimestamp, &setup.timestamp}}) {
    auto encoded = encode_role(*role_setup, role, keys);
    if (!encoded) {
      return std::move(encoded).error();
    }
    roles.emplace(std::string{to_string(role)}, std::move(*encoded));
  }
  Json::Object root = common_fields(Role::kRoot, version, expires, issued);
  root.emplace("consistent_snapshot", true);
  root.emplace("keys", std::move(keys));
  root.emplace("roles", std::move(roles));
  return root;
}

Json encode_target(const TargetFile& target) {
  Json::Object hashes;
  for (const auto& [algorithm, hex] : target.hashes) {
    hashes.emplace(algorithm, hex);
  }
  Json::Object out;
  out.emplace("length", target.length);
  out.emplace("hashes", std::move(hashes));
  if (!target.custom.is_null()) {
    out.emplace("custom", target.custom);
  }
  return Json{std::move(out)};
}

Json encode_meta(std::int64_t version, std::string_view bytes) {
  Json::Object hashes;
  hashes.emplace("sha256", Digest::of(bytes).hex());
  Json::Object out;
  out.emplace("version", version);
  out.emplace("length", std::uint64_t{bytes.size()});
  out.emplace("hashes", std::move(hashes));
  return Json{std::move(out)};
}

std::string encode_file(Json signed_part, Json::Array signatures) {
  Json::Object file;
  file.emplace("signed", std::move(signed_part));
  file.emplace("signatures", std::move(signatures));
  return Json{std::move(file)}.dump_pretty() + "\n";
}

Result<Json> signed_part_of(std::string_view bytes, std::string_view what) {
  auto file = parse_file(bytes);
  if (!file) {
    return file.error().with_context(what);
  }
  auto part = file->get_object("signed");
  if (!part) {
    return part.error().with_context(what);
  }
  return **part;
}

Result<std::string> sign_metadata(std::string_view bytes, const Signer& key) {
  auto file = parse_file(bytes);
  if (!file) {
    return file.error().with_context("metadata to sign");
  }
  auto part = file->get_object("signed");
  auto present = file->get_array("signatures");
  if (!part || !present) {
    return (part ? present.error() : part.error()).with_context("metadata to sign");
  }
  auto canonical = (*part)->canonical();
  if (!canonical) {
    return canonical.error().with_context("metadata to sign");
  }
  auto signature = key.sign(as_bytes(*canonical));
  if (!signature) {
    return std::move(signature).error();
  }
  const std::string keyid = key.public_key().key_id();
  Json::Array signatures;
  for (const Json& one : *(*present)->array()) {
    const auto id = one.get_string("keyid");
    if (!id || *id != keyid) {
      signatures.push_back(one);
    }
  }
  Json::Object mine;
  mine.emplace("keyid", keyid);
  mine.emplace("sig", to_hex(*signature));
  signatures.emplace_back(std::move(mine));
  return encode_file(**part, std::move(signatures));
}

Result<std::string> merge_signatures(std::string_view ours,
                                     std::string_view theirs,
                                     const std::set<std::string>& accepted) {
  Json::Array signatures;
  std::set<std::string> seen;
  auto signed_part = signed_part_of(ours, "merging signatures");
  if (!signed_part) {
    return std::move(signed_part).error();
  }
  for (const std::string_view bytes : {theirs, ours}) {
    auto file = parse_file(bytes);
    if (!file) {
      return std::move(file).error();
    }
    auto present = file->get_array("signatures");
    if (!present) {
      return std::move(present).error();
    }
    for (const Json& one : *(*present)->array()) {
      const auto id = one.get_string("keyid");
      const bool taken = id && (bytes.data() == ours.data() || accepted.contains(*id));
      if (taken && seen.insert(*id).second) {
        signatures.push_back(one);
      }
    }
  }
  return encode_file(std::move(*signed_part), std::move(signatures));
}

Signers signers_of(const Root& root, Role role) {
  return Signers{root.keys_of(role), root.keys};
}

std::optional<Signers> signers_of(const Delegations& delegations, const RoleName& role) {
  for (const DelegatedRole& delegated : delegations.roles) {
    if (delegated.name == role.text()) {
      return Signers{delegated.keys, delegations.keys};
    }
  }
  return std::nullopt;
}

bool speaks_for(const Signers& signers, const PublicKey& key) {
  return std::any_of(
      signers.keys.keyids.begin(), signers.keys.keyids.end(), [&](const std::string& keyid) {
        const auto it = signers.table.usable.find(keyid);
        return it != signers.table.usable.end() && it->second == key;
      });
}

bool speaks_for(const Root& root, Role role, const PublicKey& key) {
  return speaks_for(signers_of(root, role), key);
}

bool signed_by(const AnyMetadata& file, std::string_view keyid, const PublicKey& key) {
  return std::any_of(
      file.signatures.begin(), file.signatures.end(), [&](const Signature& signature) {
        return signature.keyid == keyid &&
               key.verify(as_bytes(file.canonical), signature.value).has_value();
      });
}

Result<void> check_threshold(const AnyMetadata& file,
                             const Signers& signers,
                             const RoleName& role) {
  return verify_threshold(
      signers.keys, signers.table, file.signatures, file.canonical, role.text());
}

Result<std::string> describe_metadata(std::string_view bytes) {
  auto file = parse_file(bytes);
  if (!file) {
    return std::move(file).error();
  }
  auto part = file->get_object("signed");
  if (!part) {
    return std::move(part).error();
  }
  auto type = (*part)->get_string("_type");
  if (!type) {
    return std::move(type).error();
  }
  auto role = parse_role(*type);
  if (!role) {
    return std::move(role).error();
  }
  auto parsed = parse_any(*role, bytes);
  if (!parsed) {
    return std::move(parsed).error();
  }
  std::string text = *type + " version " + std::to_string(parsed->version) + ", ends " +
                     to_rfc3339(parsed->expires) + "\n";
  if (*role == Role::kTargets) {
    const auto targets = parse_targets(bytes);
    for (const auto& [path, target] : targets->content.targets) {
      text += "  " + path + "  " + std::to_string(target.length) + " bytes  ";
      const auto digest = target.sha256();
      text += digest ? digest->to_string() : std::string{"no sha256"};
      text += "  release " + std::to_string(target.release_counter());
      if (const auto end = target.not_after()) {
        text += "  not after " + to_rfc3339(*end);
      }
      text += '\n';
    }
    if (targets->content.delegations) {
      for (const DelegatedRole& delegated : targets->content.delegations->roles) {
        text += describe_delegation(delegated);
      }
    }
  } else if (*role == Role::kRoot) {
    const auto root = parse_root(bytes);
    for (const auto& [name, keys] : root->content.roles) {
      text += "  " + name + ": " + std::to_string(keys.threshold) + " of " +
              std::to_string(keys.keyids.size()) + " keys\n";
      for (const std::string& keyid : keys.keyids) {
        text += "    " + keyid + "\n";
      }
    }
  }
  for (const Signature& signature : parsed->signatures) {
    text += "  signed by " + signature.keyid + "\n";
  }
  return text;
}

}  // namespace skerry::security::tuf
