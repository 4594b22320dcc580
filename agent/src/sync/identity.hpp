#pragma once

// What enrolment gave this gateway: its id, certificate and the controllers to trust. One JSON
// file, identity.json of mode 0600, replaced as a whole; the private key is a file of its own.

#include <filesystem>
#include <optional>
#include <string>

#include "skerry/common/clock.hpp"
#include "skerry/common/digest.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"

namespace skerry::agent::sync {

struct DeviceIdentity {
  std::string device_id;
  std::string tenant_id;
  std::string site_id;
  std::string certificate_chain_pem;
  std::string trust_bundle_pem;
  WallTime expires{};
};

// None if the gateway is not enrolled; kParse if the file is damaged.
Result<std::optional<DeviceIdentity>> load_identity(FileSystem& fs,
                                                    const std::filesystem::path& file);
// Checks that the certificate is one of `key_pem`'s and names a device, then stores it durably.
Result<DeviceIdentity> store_identity(FileSystem& fs,
                                      const std::filesystem::path& file,
                                      DeviceIdentity identity,
                                      const Digest& key_spki);

}  // namespace skerry::agent::sync
