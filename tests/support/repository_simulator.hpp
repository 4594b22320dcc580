#pragma once

// A TUF repository in memory that can be told to misbehave: tests change the signed parts by hand,
// choose who signs, and see what a client trusts afterwards. It is the client's `Fetcher`, and
// `MemoryMetadataStore` its disk.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/json.hpp"
#include "skerry/security/signer.hpp"
#include "skerry/security/tuf/client.hpp"
#include "skerry/security/tuf/metadata_store.hpp"

namespace skerry::test {

class MemoryMetadataStore final : public security::tuf::MetadataStore {
 public:
  Result<std::optional<std::string>> load(const security::tuf::RoleName& role) override;
  Result<void> commit(const security::tuf::MetadataUpdate& update) override;

  // The trusted version of a role, 0 if none: what tests assert.
  [[nodiscard]] std::int64_t version(const security::tuf::RoleName& role) const;

  // The next commit fails once.
  bool fail_next_commit = false;
  std::map<security::tuf::RoleName, std::string> files;
};

class RepositorySimulator final : public security::tuf::Fetcher {
 public:
  using Role = security::tuf::Role;
  using SignerPtr = std::shared_ptr<const security::Signer>;

  // One Ed25519 key per role with threshold 1, every role at version 1, ends in 30 days.
  explicit RepositorySimulator(WallTime now);

  Result<std::string> fetch(std::string_view name, std::size_t limit) override;

  // The signed parts, to be changed by hand. A member function below signs and serves them.
  Json::Object root;
  Json::Object timestamp;
  Json::Object snapshot;
  Json::Object targets;
  // Who signs a role's next file.
  std::map<Role, std::vector<SignerPtr>> signers;

  // Puts new keys and threshold into `root` and makes them the signers (root: besides the old
  // ones).
  void set_keys(Role role, std::vector<SignerPtr> keys, std::int64_t threshold = 1);
  static SignerPtr new_key(security::KeyAlgorithm algorithm = security::KeyAlgorithm::kEd25519);

  // Serves `root` as the next version, signed by `signers[kRoot]`.
  void publish_root();
  // Each bumps its version and what refers to it, up to the timestamp.
  void publish_targets();
  void publish_snapshot();
  void publish_timestamp();
  void add_target(const std::string& path, const std::string& content);

  // {"signed", "signatures"} of a part by the given keys.
  static std::string sign(const Json::Object& part, const std::vector<SignerPtr>& keys);
  [[nodiscard]] std::int64_t version_of(const Json::Object& part) const;

  // By served name; tests may replace, add or erase.
  std::map<std::string, std::string, std::less<>> served;
  std::vector<std::string> fetched;
  // Whether `meta` carries lengths and hashes.
  bool with_hashes = true;
  std::string first_root;

 private:
  static void bump(Json::Object& part);
  [[nodiscard]] Json::Object part(Role role, WallTime expires) const;
  [[nodiscard]] Json meta_of(std::int64_t version, const std::string& bytes) const;
};

}  // namespace skerry::test
