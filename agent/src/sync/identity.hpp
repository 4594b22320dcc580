#pragma once

// What enrolment and renewal gave this gateway: its id, certificate and the authorities to trust.
// One JSON file, identity.json of mode 0600, replaced as a whole; it names the file of its private
// key.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "skerry/common/clock.hpp"
#include "skerry/common/digest.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/security/signer.hpp"

namespace skerry::agent::sync {

struct DeviceIdentity {
  std::string device_id;
  std::string tenant_id;
  std::string site_id;
  std::string certificate_chain_pem;
  std::string trust_bundle_pem;
  // In keys/.
  std::string key_file = "device.pem";
  WallTime expires{};
};

// None if the gateway is not enrolled; kParse if the file is damaged.
Result<std::optional<DeviceIdentity>> load_identity(FileSystem& fs,
                                                    const std::filesystem::path& file);
// The identity, if there is one, with its key. Without one the first key is opened, or made.
struct Credentials {
  std::optional<DeviceIdentity> identity;
  std::shared_ptr<const security::Signer> key;
  // Secret: for gRPC's credentials only.
  std::string key_pem;
};
// kKeyInvalid if the key is missing or is not the certificate's.
Result<Credentials> load_credentials(FileSystem& fs, const std::filesystem::path& state_dir);

// Checks that the certificate is one of `key_pem`'s and names a device, then stores it durably.
Result<DeviceIdentity> store_identity(FileSystem& fs,
                                      const std::filesystem::path& file,
                                      DeviceIdentity identity,
                                      const Digest& key_spki);

}  // namespace skerry::agent::sync
