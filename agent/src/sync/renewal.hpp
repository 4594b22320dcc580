#pragma once

// The next certificate: when it is time, and how it is fetched and put in place so that a crash at
// any point leaves a working identity (ADR 0076).
//
//   key       keys/device-<n+1>.pem is made (or found: an earlier attempt was cut off)
//   Renew     over TLS with the present certificate, also when that has ended
//   commit    identity.json is replaced as a whole; it names its key file
//   forget    former keys go when the controller has accepted the new certificate

#include <chrono>
#include <memory>
#include <string>

#include <grpcpp/channel.h>

#include "skerry/agent/core.hpp"
#include "skerry/async/task.hpp"
#include "skerry/fleet/v1/device.pb.h"
#include "skerry/security/certificate.hpp"
#include "skerry/security/trust_anchors.hpp"

#include "identity.hpp"

namespace skerry::agent::sync {

// Half of the life, and up to a tenth of it later: where in there is drawn from the certificate's
// fingerprint, so that a fleet that enrolled in one afternoon does not come back in one.
WallTime renewal_time(const security::Certificate& certificate);

// How long to wait for that; not negative.
std::chrono::milliseconds until_renewal(const security::Certificate& certificate, WallTime now);

// "device.pem" → "device-2.pem" → "device-3.pem".
std::string next_key_file(std::string_view key_file);

// Checks what the controller answered: the certificate is for `key` and names the same device, and
// its authorities follow from those trusted so far. Gives the identity to store.
Result<DeviceIdentity> renewed_identity(const DeviceIdentity& present,
                                        const Digest& key,
                                        const fleet::v1::RenewResponse& answer);

// All of it but the forgetting. The returned identity is on disk. kPermissionDenied,
// kNotEnrolled if the controller refuses for good; kUnavailable if it could not be asked.
Task<Result<DeviceIdentity>> renew(Core& core,
                                   std::shared_ptr<grpc::Channel> channel,
                                   DeviceIdentity present);

// Removes the device keys before `key_file`; a later one belongs to a renewal that is under way.
// Blocks.
Result<void> forget_former_keys(FileSystem& fs,
                                const std::filesystem::path& keys,
                                const std::string& key_file);

}  // namespace skerry::agent::sync
