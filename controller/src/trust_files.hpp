#pragma once

// Published metadata as the store holds it: names, the current set of a repository, and the signed
// parts that the controller makes by its online keys. Shared by `TrustPublisher` and `Director`.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/controller/store.hpp"
#include "skerry/security/signer.hpp"
#include "skerry/security/tuf/client.hpp"

namespace skerry::controller {

struct UploadName {
  std::int64_t version = 0;
  security::tuf::RoleName role = security::tuf::Role::kRoot;
};

// "<n>.<role>.json" of a role that offline keys sign: root, targets or a delegated one, n without
// leading zeros. kInvalidArgument for anything else, snapshot and timestamp too.
Result<UploadName> parse_upload_name(const std::string& name);

// "timestamp.json", "3.targets.json", "2.acme.json".
std::string served_name(const security::tuf::RoleName& role, std::int64_t version);

MetadataRecord metadata_record(std::string_view repository,
                               const security::tuf::RoleName& role,
                               std::int64_t version,
                               std::string content);

// What a snapshot or timestamp says of a file.
Json meta_entry(const std::string& content, std::int64_t version);

// A metadata file with `signed_part`, its version and times, signed by `key`.
Result<std::string> sign_role(Json::Object signed_part,
                              std::int64_t version,
                              WallTime now,
                              std::chrono::milliseconds lifetime,
                              const security::Signer& key);

// The newest files of one repository: every root, and one file for each other role.
struct PublishedSet {
  std::vector<MetadataRecord> roots;
  std::map<std::string, MetadataRecord, std::less<>> roles;

  static Result<PublishedSet> load(Store& store,
                                   const std::string& tenant,
                                   std::string_view repository);
  // Null if none is published.
  [[nodiscard]] const MetadataRecord* find(std::string_view role) const;
  [[nodiscard]] std::int64_t version_of(std::string_view role) const;
};

// The set as a client sees it that has fetched all of it.
class PublishedMetadata final : public security::tuf::MetadataStore, public security::tuf::Fetcher {
 public:
  // `set` must outlive this.
  explicit PublishedMetadata(const PublishedSet& set) : set_(set) {}
  Result<std::optional<std::string>> load(const security::tuf::RoleName& role) override;
  Result<void> commit(const security::tuf::MetadataUpdate& update) override;
  Result<std::string> fetch(std::string_view name, std::size_t limit) override;

 private:
  const PublishedSet& set_;
};

}  // namespace skerry::controller
