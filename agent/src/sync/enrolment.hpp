#pragma once

// First contact: a key made here, a certificate request, a single-use token, one Enroll call over
// TLS that is pinned by the CA or by the server's key. The token file is read each time, so a new
// one can be put there while the daemon runs.

#include <functional>
#include <memory>
#include <string>

#include "skerry/agent/core.hpp"
#include "skerry/async/task.hpp"
#include "skerry/fleet/v1/device.pb.h"
#include "skerry/security/signer.hpp"

#include "identity.hpp"

namespace skerry::agent::sync {

// kNotEnrolled if the settings give no token or no way to know the controller; kEnrolmentRefused
// with the controller's words; kUnavailable if it could not be reached. `pin` is given the director
// root that comes with the identity, on the disk pool, before the identity is stored.
Task<Result<DeviceIdentity>> enrol(Core& core,
                                   std::shared_ptr<const security::Signer> key,
                                   fleet::v1::DeviceInfo info,
                                   std::function<Result<void>(const std::string&)> pin);

}  // namespace skerry::agent::sync
