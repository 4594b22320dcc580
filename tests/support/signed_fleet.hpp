#pragma once

// The keys of a fleet, the parts that its two repositories are signed of, and a device's own
// catalogue: for tests that attack trust (unit/trust) or let a device be away for long
// (unit/agent).

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "skerry/security/tuf/assignment.hpp"
#include "skerry/security/tuf/client.hpp"

#include "registry_fixtures.hpp"
#include "repository_simulator.hpp"
#include "temp_dir.hpp"

namespace skerry::test {

using SignerPtr = RepositorySimulator::SignerPtr;
using Files = std::map<std::string, std::string, std::less<>>;

inline constexpr const char* kDevice = "dev-1";
inline const WallTime kStart = *parse_rfc3339("2026-11-22T12:00:00Z");
inline constexpr std::chrono::hours kDay{24};

// What the thief holds. Root and targets are kept by three people each and need two.
struct Loot {
  int root = 0;
  int targets = 0;
  bool team = false;
  bool security = false;
  bool runtime = false;
  bool snapshot = false;
  bool timestamp = false;
  bool director_root = false;
  bool director = false;
  bool tls = false;
};

// Every key of the fleet. The thief's own is in nobody's list.
struct FleetKeys {
  static SignerPtr fresh() { return RepositorySimulator::new_key(); }
  std::array<SignerPtr, 3> root{fresh(), fresh(), fresh()};
  std::array<SignerPtr, 3> targets{fresh(), fresh(), fresh()};
  SignerPtr team = fresh();
  SignerPtr beta = fresh();
  SignerPtr security = fresh();
  SignerPtr runtime = fresh();
  SignerPtr snapshot = fresh();
  SignerPtr timestamp = fresh();
  SignerPtr director_root = fresh();
  SignerPtr director = fresh();
  SignerPtr thief = fresh();
};

class FilesFetcher final : public security::tuf::Fetcher {
 public:
  explicit FilesFetcher(const Files& files) : files_(files) {}
  Result<std::string> fetch(std::string_view name, std::size_t limit) override {
    const auto file = files_.find(name);
    if (file == files_.end()) {
      return Error{Error::Code::kNotFound, std::string{name} + " is not served"};
    }
    if (file->second.size() > limit) {
      return Error{Error::Code::kTooLarge, std::string{name}};
    }
    return file->second;
  }

 private:
  const Files& files_;
};

// The signed parts of metadata files.
struct Part {
  static Json::Object of(const std::string& type, std::int64_t version, WallTime expires) {
    return Json::Object{{"_type", type},
                        {"spec_version", "1.0.34"},
                        {"version", version},
                        {"expires", to_rfc3339(expires)}};
  }

  static Json keyids(const std::vector<SignerPtr>& keys, std::int64_t threshold) {
    Json::Array ids;
    for (const SignerPtr& key : keys) {
      ids.emplace_back(key->public_key().key_id());
    }
    return Json::Object{{"keyids", std::move(ids)}, {"threshold", threshold}};
  }

  static Json::Object root(std::int64_t version,
                           const std::vector<SignerPtr>& root_keys,
                           std::int64_t root_threshold,
                           const std::vector<SignerPtr>& targets_keys,
                           std::int64_t targets_threshold,
                           const SignerPtr& snapshot,
                           const SignerPtr& timestamp) {
    Json::Object keys;
    for (const auto* list : {&root_keys, &targets_keys}) {
      for (const SignerPtr& key : *list) {
        keys[key->public_key().key_id()] = key->public_key().to_tuf_json();
      }
    }
    for (const SignerPtr& key : {snapshot, timestamp}) {
      keys[key->public_key().key_id()] = key->public_key().to_tuf_json();
    }
    Json::Object part = of("root", version, kStart + 3650 * kDay);
    part["consistent_snapshot"] = true;
    part["keys"] = std::move(keys);
    part["roles"] = Json::Object{{"root", keyids(root_keys, root_threshold)},
                                 {"targets", keyids(targets_keys, targets_threshold)},
                                 {"snapshot", keyids({snapshot}, 1)},
                                 {"timestamp", keyids({timestamp}, 1)}};
    return part;
  }

  static Json target(const std::string& content, std::int64_t counter) {
    return Json::Object{{"length", static_cast<std::int64_t>(content.size())},
                        {"hashes", Json::Object{{"sha256", Digest::of(content).hex()}}},
                        {"custom", Json::Object{{"release_counter", counter}}}};
  }

  struct Delegation {
    std::string name;
    SignerPtr key;
    std::string pattern;
  };
  static Json delegations(const std::vector<Delegation>& list) {
    Json::Object keys;
    Json::Array roles;
    for (const auto& one : list) {
      keys[one.key->public_key().key_id()] = one.key->public_key().to_tuf_json();
      Json role = keyids({one.key}, 1);
      (*role.object())["name"] = one.name;
      (*role.object())["terminating"] = true;
      (*role.object())["paths"] = Json::Array{one.pattern};
      roles.push_back(std::move(role));
    }
    return Json::Object{{"keys", std::move(keys)}, {"roles", std::move(roles)}};
  }
};

// A published set: the newest file of each role, and all that was ever served.
struct Repository {
  Files served;
  // By role: version and bytes of the newest file.
  std::map<std::string, std::pair<std::int64_t, std::string>> roles;

  void put(const std::string& role, const Json::Object& part, const std::vector<SignerPtr>& keys) {
    const std::int64_t version = *part.at("version").as_int();
    const std::string bytes = RepositorySimulator::sign(part, keys);
    roles[role] = {version, bytes};
    served[role == "timestamp" ? "timestamp.json"
                               : std::to_string(version) + "." + role + ".json"] = bytes;
  }

  // Snapshot and timestamp over the newest files.
  void seal(std::int64_t version,
            const SignerPtr& snapshot_key,
            const SignerPtr& timestamp_key,
            WallTime now) {
    Json::Object meta;
    for (const auto& [role, file] : roles) {
      if (role != "root" && role != "snapshot" && role != "timestamp") {
        meta[role + ".json"] = entry(file);
      }
    }
    Json::Object snapshot = Part::of("snapshot", version, now + 30 * kDay);
    snapshot["meta"] = std::move(meta);
    put("snapshot", snapshot, {snapshot_key});
    stamp(version, timestamp_key, now);
  }

  void stamp(std::int64_t version, const SignerPtr& timestamp_key, WallTime now) {
    Json::Object timestamp = Part::of("timestamp", version, now + 7 * kDay);
    timestamp["meta"] = Json::Object{{"snapshot.json", entry(roles.at("snapshot"))}};
    put("timestamp", timestamp, {timestamp_key});
  }

  // The director's root: its one online key for everything else.
  static void direct_root(Repository& repository,
                          std::int64_t version,
                          const SignerPtr& root,
                          const SignerPtr& online,
                          const std::vector<SignerPtr>& signers) {
    repository.put("root", Part::root(version, {root}, 1, {online}, 1, online, online), signers);
  }

  // The entry of the device's slot "default"; an empty path stops it.
  static Json assignment(const std::string& path, const Json& entry, std::uint64_t generation) {
    security::tuf::Assignment out;
    out.slot = "default";
    out.generation = generation;
    out.target = path;
    if (!path.empty()) {
      out.file.length = static_cast<std::uint64_t>(*entry.get_int("length"));
      out.file.hashes["sha256"] = *(*entry.get_object("hashes"))->get_string("sha256");
      out.file.custom = **entry.get_object("custom");
    }
    const security::tuf::TargetFile file = encode_assignment(out);
    return Json::Object{{"length", file.length},
                        {"hashes", Json::Object{{"sha256", file.hashes.at("sha256")}}},
                        {"custom", file.custom}};
  }

  // What a director with this key says of the device.
  static void direct(Repository& repository,
                     std::int64_t version,
                     const Json& assigned,
                     const SignerPtr& key,
                     WallTime now) {
    using namespace security::tuf;
    Json::Object top = Part::of("targets", version, now + 90 * kDay);
    top["targets"] = Json::Object{};
    top["delegations"] =
        Part::delegations({{assignment_role(kDevice), key, assignment_pattern(kDevice)}});
    repository.put("targets", top, {key});
    Json::Object part = Part::of("targets", version, now + 7 * kDay);
    part["targets"] = Json::Object{{assignment_path(kDevice, "default"), assigned}};
    repository.put(assignment_role(kDevice), part, {key});
    repository.seal(version, key, key, now);
  }

  static Json entry(const std::pair<std::int64_t, std::string>& file) {
    return Json::Object{{"version", file.first},
                        {"length", static_cast<std::int64_t>(file.second.size())},
                        {"hashes", Json::Object{{"sha256", Digest::of(file.second).hex()}}}};
  }
};

// A signed model's manifest.
struct SignedModel {
  std::string path;
  std::string content;
  std::int64_t counter = 0;

  [[nodiscard]] Json entry() const { return Part::target(content, counter); }
};

// What the device's own record says of installing: the catalogue with its release counters, and the
// blobs of every model that occurs, so that only trust decides.
class DeviceCatalogue {
 public:
  DeviceCatalogue() {
    catalogue_ = *registry::Catalogue::open(dir_ / "registry.db", clock_);
    store_ = *registry::BlobStore::open(fs_, *catalogue_, clock_, dir_.path());
    EXPECT_TRUE(store_file(*store_, weights_));
  }

  SignedModel model(const std::string& team,
                    const std::string& name,
                    const std::string& version,
                    std::uint64_t counter,
                    const std::string& note = {}) {
    registry::Manifest manifest =
        make_manifest(version, counter, {make_variant("raw", {weights_})});
    manifest.model = {team, name};
    if (!note.empty()) {
      manifest.annotations.emplace("note", note);
    }
    const auto bytes = manifest.serialise();
    EXPECT_TRUE(bytes) << bytes.error().to_string();
    return {manifest.target_path(), *bytes, static_cast<std::int64_t>(counter)};
  }

  // The last step of an installation, on the real catalogue.
  Result<void> activate(const std::string& content) {
    const Digest digest = Digest::of(content);
    if (auto stored = store_->put(as_bytes(content)); !stored) {
      return stored.error();
    }
    if (auto recorded = catalogue_->record_manifest(content, digest, "image", 1); !recorded) {
      return recorded;
    }
    registry::ActivationRequest request;
    request.slot = SlotName{"default"};
    request.generation = ++generation_;
    request.manifest = digest;
    request.variant = "raw";
    request.probation = false;
    const auto active = catalogue_->activate(request);
    return active ? Result<void>{} : active.error();
  }

 private:
  TempDir dir_;
  SystemFileSystem fs_;
  FakeClock clock_{kStart};
  std::unique_ptr<registry::Catalogue> catalogue_;
  std::unique_ptr<registry::BlobStore> store_;
  SampleFile weights_ = make_file(registry::FileRole::kWeights, "weights.bin", 1000, 1);
  std::uint64_t generation_ = 0;
};

}  // namespace skerry::test
