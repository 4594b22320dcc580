#pragma once

// The one place where the controller's errors become gRPC statuses.

#include <grpcpp/support/status.h>

#include "skerry/common/error.hpp"

namespace skerry::controller {

// The message is the error's; the details are its stable name ("enrolment_refused").
grpc::Status to_status(const Error& error);

}  // namespace skerry::controller
