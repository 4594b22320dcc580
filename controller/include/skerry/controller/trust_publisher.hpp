#pragma once

// The controller's half of TUF: it takes root and targets that offline keys signed, checks the
// whole as a device would, adds snapshot and timestamp by its online key, and serves the bytes as
// they are. It can choose what to publish only among what those keys signed. Used by the fleet
// service (publish, read), the device service (read) and the refresh task. Thread-safe; calls
// block.

#include <chrono>
#include <cstdint>
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
};

class TrustPublisher {
 public:
  // The one repository that is served; "director" and "offline" are names for later.
  static constexpr std::string_view kImage = "image";
  static constexpr std::size_t kMaxFiles = 64;

  // The referred objects must outlive this one.
  TrustPublisher(Store& store,
                 std::shared_ptr<const security::Signer> online_key,
                 const Clock& clock,
                 TrustConfig config);

  // `files` are "<n>.root.json" and "<n>.targets.json". The first publication of a tenant fixes its
  // root of trust. Errors are those of the trusted set (kThresholdNotMet, kSignatureInvalid,
  // kRollback, kMetadataExpired …), kFailedPrecondition for a target that was not staged, a root
  // that does not list the online key, or nothing to publish. On an error nothing changes.
  Result<PublishedVersions> publish(const std::string& tenant, std::vector<NamedBytes> files);

  // A new timestamp, and a snapshot when that ends soon, once half of the timestamp's life has
  // passed. True if there is a new one.
  Result<bool> refresh(const std::string& tenant);

  // What is published now: all roots, targets, snapshot, timestamp.
  Result<std::vector<NamedBytes>> current(const std::string& tenant);
  // A file by its served name, byte for byte; kNotFound.
  Result<std::string> read(const std::string& tenant,
                           std::string_view repository,
                           std::string_view name);
  Result<PublishedVersions> versions(const std::string& tenant);

  // What a published target says, for rollouts; none if it is not published.
  struct Target {
    std::string manifest_digest;
    std::int64_t release_counter = 0;
  };
  Result<std::optional<Target>> find_target(const std::string& tenant, std::string_view path);

  // TUF key object, canonical JSON: what a root must list for snapshot and timestamp.
  [[nodiscard]] std::string online_key() const;

 private:
  struct Current;
  Result<Current> load(const std::string& tenant);
  Result<std::string> make_snapshot(std::int64_t version,
                                    const std::string& targets,
                                    std::int64_t targets_version) const;
  Result<std::string> make_timestamp(std::int64_t version,
                                     const std::string& snapshot,
                                     std::int64_t snapshot_version) const;
  Result<std::vector<std::string>> check_targets(const std::string& tenant,
                                                 const std::string& targets);

  Store& store_;
  std::shared_ptr<const security::Signer> online_key_;
  const Clock& clock_;
  TrustConfig config_;
  std::mutex mutex_;
};

}  // namespace skerry::controller
