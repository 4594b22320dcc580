#pragma once

// The director repository: what each device runs now, signed by the controller's online director
// key under a root that offline keys signed. A device sees a small TUF repository of its own: the
// shared roots, a top-level list that delegates "devices/<id>/*" to the device's role, that role
// with one entry per slot, snapshot and timestamp. Nothing of it is stored but the roots: it is
// made from the desired state when it is asked for, and its version follows from the slots'
// generations, so that every controller on one store says the same. See ADR 0070. Thread-safe;
// calls block.

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/controller/settings.hpp"
#include "skerry/controller/store.hpp"
#include "skerry/controller/trust_publisher.hpp"
#include "skerry/security/signer.hpp"
#include "skerry/security/tuf/assignment.hpp"

namespace skerry::controller {

// Whom a view is for.
struct DirectedDevice {
  std::string device_id;
  std::string tenant_id;
  // DeviceInfo.machine; empty if it is not known.
  std::string machine;
};

// A device's files but the roots, as they are served.
struct DirectorView {
  std::int64_t version = 0;
  std::vector<NamedBytes> files;
};

class Director {
 public:
  static constexpr std::string_view kRepository = "director";

  // The referred objects must outlive this one. Of `config` the timestamp's lifetime counts, which
  // is at least two hours here.
  Director(Store& store,
           std::shared_ptr<const security::Signer> key,
           const Clock& clock,
           TrustConfig config);

  // `files` are "<n>.root.json": the first ones of a tenant fix its director root. Gives the newest
  // version. kFailedPrecondition for a root that does not give targets, snapshot and timestamp to
  // the director key; else as `TrustPublisher::publish`.
  Result<std::int64_t> publish(const std::string& tenant, std::vector<NamedBytes> files);

  // All roots, oldest first; empty if the tenant has no director repository.
  Result<std::vector<NamedBytes>> roots(const std::string& tenant);

  // Of the newest root; 0 if the tenant has no director repository.
  Result<std::int64_t> root_version(const std::string& tenant);

  // The signed form of `slots`, all that the device is to run. None without a director root.
  // kFailedPrecondition if the newest root does not list the director key, kNotFound for a target
  // without a manifest.
  Result<std::optional<DirectorView>> view(const DirectedDevice& device,
                                           const std::vector<DesiredSlotRecord>& slots);

  // The roots after version `known`, oldest first.
  Result<std::vector<NamedBytes>> roots_after(const std::string& tenant, std::int64_t known);

  // A file by its served name, for the device; kNotFound.
  Result<std::string> read(const DirectedDevice& device, std::string_view name);

  // The device has verified version `seen`: what it is told from now on is newer, also by a store
  // that was restored from a backup.
  Result<void> pass_version(const std::string& device_id, std::int64_t seen);

  // TUF key object, canonical JSON: what the director root must list.
  [[nodiscard]] std::string key() const;

 private:
  // The newest root of a tenant.
  struct Head {
    std::int64_t root_version = 0;
    // Why nothing can be signed under it.
    std::optional<Error> unusable;
    BootTime read{};
  };
  Result<Head> head(const std::string& tenant);
  Result<std::int64_t> floor_of(const std::string& device_id);
  Result<security::tuf::TargetFile> manifest_file(const std::string& tenant,
                                                  const std::string& target);
  Result<NamedBytes> delegating_targets(const DirectedDevice& device, WallTime now);
  Result<NamedBytes> sign(const security::tuf::RoleName& role,
                          Json::Object part,
                          std::int64_t version,
                          WallTime issued,
                          WallTime expires) const;

  Store& store_;
  std::shared_ptr<const security::Signer> key_;
  const Clock& clock_;
  std::chrono::milliseconds period_;
  std::mutex publish_mutex_;
  std::mutex mutex_;
  std::map<std::string, Head> heads_;
  std::map<std::string, std::int64_t> floors_;
  // By tenant and target; published manifests never change.
  std::map<std::pair<std::string, std::string>, security::tuf::TargetFile> manifests_;
  // By device: made once in a long period.
  std::map<std::string, NamedBytes> delegating_;
};

}  // namespace skerry::controller
