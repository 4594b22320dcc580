#pragma once

// The device's side of the director repository: pins its first root, verifies what the controller
// sends as the signed desired state, and answers what was verified last for each slot. Used by the
// sync client (new state), the installer (does the image repository agree?) and the daemon (first
// root). Thread-safe; calls block on the catalogue and never on the network.

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/agent/device_time.hpp"
#include "skerry/common/result.hpp"
#include "skerry/registry/catalogue.hpp"
#include "skerry/security/tuf/assignment.hpp"
#include "skerry/security/tuf/client.hpp"

namespace skerry::agent {

// Served name and content.
using MetadataFiles = std::map<std::string, std::string, std::less<>>;

class DirectorClient {
 public:
  DirectorClient(registry::Catalogue& catalogue, DeviceTime& time);

  // Trusts `root` as the director repository's first root if nothing is trusted yet. From then on
  // this device acts on nothing that the director did not sign.
  Result<void> pin(std::string_view root);
  [[nodiscard]] Result<bool> pinned();
  // Which device's role is ours. Before it is known nothing is verified (kFailedPrecondition).
  void identify(const std::string& device_id);

  // What has been verified, for the hello: 0 if nothing is.
  struct Versions {
    std::int64_t root = 0;
    std::int64_t timestamp = 0;
  };
  Result<Versions> versions();

  // TUF section 5 over the files at hand, then our role's assignments. Everything verified is kept.
  // Errors are those of `tuf::Client::refresh` and `tuf::parse_assignments`; kMetadataMismatch if
  // the director delegates nothing to this device.
  struct Directions {
    std::vector<security::tuf::Assignment> assignments;
    // The time floor moved so far that it should be persisted.
    bool persist_time = false;
  };
  Result<Directions> take(const MetadataFiles& files);

  // The slot's assignment in what was verified last. kNotFound if it has none.
  Result<security::tuf::Assignment> assignment(const std::string& slot);

 private:
  Result<std::vector<security::tuf::Assignment>> ours(security::tuf::Client& client);

  DeviceTime& time_;
  // One at a time: the TUF client is not thread-safe.
  std::mutex mutex_;
  std::unique_ptr<security::tuf::MetadataStore> metadata_;
  std::string device_id_;
};

}  // namespace skerry::agent
