#pragma once

// The controller's half of TUF: it takes root, targets and delegated roles that offline keys
// signed, checks the whole as a device would, adds snapshot and timestamp by its online key, and
// serves the bytes as they are. It can choose what to publish only among what those keys signed.
// Used by the fleet service (publish, read), the device service (read) and the refresh task.
// Thread-safe; calls block.

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/result.hpp"
#include "skerry/controller/settings.hpp"
#include "skerry/controller/store.hpp"
#include "skerry/security/signer.hpp"
#include "skerry/security/tuf/metadata.hpp"

namespace skerry::controller {

struct NamedBytes {
  std::string name;
  std::string content;
};

struct PublishedVersions {
  std::int64_t root = 0;
  std::int64_t targets = 0;
  std::int64_t snapshot = 0;
  std::int64_t timestamp = 0;
  // Delegated roles by name.
  std::map<std::string, std::int64_t> delegated;
};

class TrustPublisher {
 public:
  static constexpr std::string_view kImage = "image";
  static constexpr std::size_t kMaxFiles = 64;
  // Of a served name; more is not found.
  static constexpr std::size_t kMaxName = 255;

  // The referred objects must outlive this one.
  TrustPublisher(Store& store,
                 std::shared_ptr<const security::Signer> online_key,
                 const Clock& clock,
                 TrustConfig config);

  // `files` are "<n>.root.json", "<n>.targets.json" and "<n>.<delegated role>.json". The first
  // publication of a tenant fixes its root of trust. Errors are those of the trusted set
  // (kThresholdNotMet, kSignatureInvalid, kRollback, kMetadataExpired …), kFailedPrecondition for a
  // target that was not staged, a delegation without its role, a root that does not list the online
  // key, or nothing to publish; kPermissionDenied for a role that nobody delegates to or that lists
  // a path which is not its own. On an error nothing changes.
  Result<PublishedVersions> publish(const std::string& tenant, std::vector<NamedBytes> files);

  // A new timestamp, and a snapshot when that ends soon, once half of the timestamp's life has
  // passed. True if there is a new one.
  Result<bool> refresh(const std::string& tenant);

  // What is published now: all roots, and the newest file of every other role.
  Result<std::vector<NamedBytes>> current(const std::string& tenant);
  // A file by its served name, byte for byte; kNotFound.
  Result<std::string> read(const std::string& tenant,
                           std::string_view repository,
                           std::string_view name);
  Result<PublishedVersions> versions(const std::string& tenant);

  // What a published target says, for rollouts; none if it is not published.
  struct Target {
    std::string manifest_digest;
    std::int64_t length = 0;
    std::int64_t release_counter = 0;
  };
  Result<std::optional<Target>> find_target(const std::string& tenant, std::string_view path);

  // TUF key object, canonical JSON: what a root must list for snapshot and timestamp.
  [[nodiscard]] std::string online_key() const;

 private:
  using Roles = std::map<std::string, MetadataRecord, std::less<>>;
  Result<std::string> make_snapshot(const MetadataRecord* before, const Roles& roles) const;
  Result<std::string> make_timestamp(std::int64_t version,
                                     const std::string& snapshot,
                                     std::int64_t snapshot_version) const;
  // Adds what is published for the first time to `published`.
  Result<void> check_staged(const std::string& tenant,
                            const security::tuf::Targets& targets,
                            std::vector<std::string>& published);

  Store& store_;
  std::shared_ptr<const security::Signer> online_key_;
  const Clock& clock_;
  TrustConfig config_;
  std::mutex mutex_;
};

}  // namespace skerry::controller
