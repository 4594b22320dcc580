#include "repository_simulator.hpp"

#include <cstdlib>
#include <utility>

namespace skerry::test {

using security::tuf::MetadataUpdate;
using security::tuf::Role;
using security::tuf::RoleName;

Result<std::optional<std::string>> MemoryMetadataStore::load(const RoleName& role) {
  const auto it = files.find(role);
  return it == files.end() ? std::optional<std::string>{} : std::optional<std::string>{it->second};
}

Result<void> MemoryMetadataStore::commit(const MetadataUpdate& update) {
  if (std::exchange(fail_next_commit, false)) {
    return Error{Error::Code::kIo, "the store failed (injected)"};
  }
  for (const RoleName& role : update.removed) {
    files.erase(role);
  }
  for (const MetadataUpdate::File& file : update.files) {
    files[file.role] = file.bytes;
  }
  return {};
}

std::int64_t MemoryMetadataStore::version(const RoleName& role) const {
  const auto it = files.find(role);
  if (it == files.end()) {
    return 0;
  }
  const auto json = Json::parse(it->second);
  const auto part = json->get_object("signed");
  return *(*part)->get_int("version");
}

RepositorySimulator::RepositorySimulator(WallTime now) {
  const WallTime expires = now + std::chrono::hours{24 * 30};
  root = part(Role::kRoot, expires);
  root["consistent_snapshot"] = Json{true};
  root["keys"] = Json{Json::Object{}};
  root["roles"] = Json{Json::Object{}};
  timestamp = part(Role::kTimestamp, expires);
  timestamp["x-skerry-issued"] = Json{to_rfc3339(now)};
  snapshot = part(Role::kSnapshot, expires);
  targets = part(Role::kTargets, expires);
  targets["targets"] = Json{Json::Object{}};
  for (const Role role : {Role::kRoot, Role::kTimestamp, Role::kSnapshot, Role::kTargets}) {
    set_keys(role, {new_key()});
  }
  publish_root();
  first_root = served["1.root.json"];
  publish_targets();
}

Json::Object RepositorySimulator::part(Role role, WallTime expires) const {
  Json::Object out;
  out["_type"] = Json{std::string{to_string(role)}};
  out["spec_version"] = Json{"1.0.34"};
  out["version"] = Json{0};
  out["expires"] = Json{to_rfc3339(expires)};
  return out;
}

RepositorySimulator::SignerPtr RepositorySimulator::new_key(security::KeyAlgorithm algorithm) {
  auto key = security::make_memory_signer(algorithm);
  if (!key) {
    std::abort();
  }
  return std::move(*key);
}

void RepositorySimulator::set_keys(Role role, std::vector<SignerPtr> keys, std::int64_t threshold) {
  Json::Array keyids;
  for (const SignerPtr& key : keys) {
    const std::string keyid = key->public_key().key_id();
    keyids.emplace_back(keyid);
    (*root["keys"].object())[keyid] = key->public_key().to_tuf_json();
  }
  Json::Object entry;
  entry["keyids"] = Json{std::move(keyids)};
  entry["threshold"] = Json{threshold};
  (*root["roles"].object())[std::string{to_string(role)}] = Json{std::move(entry)};
  if (role == Role::kRoot) {
    signers[role].insert(signers[role].end(), keys.begin(), keys.end());
  } else {
    signers[role] = std::move(keys);
  }
}

std::int64_t RepositorySimulator::version_of(const Json::Object& part) const {
  return *part.at("version").as_int();
}

void RepositorySimulator::bump(Json::Object& part) {
  part["version"] = Json{*part.at("version").as_int() + 1};
}

std::string RepositorySimulator::sign(const Json::Object& part,
                                      const std::vector<SignerPtr>& keys) {
  const std::string canonical = *Json{part}.canonical();
  Json::Array signatures;
  for (const SignerPtr& key : keys) {
    Json::Object signature;
    signature["keyid"] = Json{key->public_key().key_id()};
    signature["sig"] = Json{to_hex(*key->sign(as_bytes(canonical)))};
    signatures.emplace_back(std::move(signature));
  }
  Json::Object file;
  file["signed"] = Json{part};
  file["signatures"] = Json{std::move(signatures)};
  return Json{std::move(file)}.dump();
}

Json RepositorySimulator::meta_of(std::int64_t version, const std::string& bytes) const {
  Json::Object meta;
  meta["version"] = Json{version};
  if (with_hashes) {
    meta["length"] = Json{static_cast<std::uint64_t>(bytes.size())};
    Json::Object hashes;
    hashes["sha256"] = Json{Digest::of(std::string_view{bytes}).hex()};
    meta["hashes"] = Json{std::move(hashes)};
  }
  return Json{std::move(meta)};
}

void RepositorySimulator::publish_root() {
  bump(root);
  served[std::to_string(version_of(root)) + ".root.json"] = sign(root, signers[Role::kRoot]);
}

void RepositorySimulator::publish_targets() {
  bump(targets);
  const std::string bytes = sign(targets, signers[Role::kTargets]);
  served[std::to_string(version_of(targets)) + ".targets.json"] = bytes;
  Json::Object meta = snapshot.contains("meta") ? *snapshot["meta"].object() : Json::Object{};
  meta["targets.json"] = meta_of(version_of(targets), bytes);
  snapshot["meta"] = Json{std::move(meta)};
  publish_snapshot();
}

void RepositorySimulator::publish_snapshot() {
  bump(snapshot);
  const std::string bytes = sign(snapshot, signers[Role::kSnapshot]);
  served[std::to_string(version_of(snapshot)) + ".snapshot.json"] = bytes;
  Json::Object meta;
  meta["snapshot.json"] = meta_of(version_of(snapshot), bytes);
  timestamp["meta"] = Json{std::move(meta)};
  publish_timestamp();
}

void RepositorySimulator::publish_timestamp() {
  bump(timestamp);
  served["timestamp.json"] = sign(timestamp, signers[Role::kTimestamp]);
}

void RepositorySimulator::add_target(const std::string& path, const std::string& content) {
  Json::Object hashes;
  hashes["sha256"] = Json{Digest::of(std::string_view{content}).hex()};
  Json::Object custom;
  custom["release_counter"] = Json{1};
  Json::Object target;
  target["length"] = Json{static_cast<std::uint64_t>(content.size())};
  target["hashes"] = Json{std::move(hashes)};
  target["custom"] = Json{std::move(custom)};
  (*targets["targets"].object())[path] = Json{std::move(target)};
}

Result<std::string> RepositorySimulator::fetch(std::string_view name, std::size_t limit) {
  fetched.emplace_back(name);
  const auto it = served.find(name);
  if (it == served.end()) {
    return Error{Error::Code::kNotFound, std::string{name} + " is not served"};
  }
  if (it->second.size() > limit) {
    return Error{Error::Code::kTooLarge, std::string{name} + " is larger than its limit"};
  }
  return it->second;
}

}  // namespace skerry::test
