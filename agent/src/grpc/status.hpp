#pragma once

// Error → grpc::Status: the one switch of the agent's gRPC front ends. No handler invents a status.

#include <grpcpp/support/status.h>

#include "skerry/common/error.hpp"

namespace skerry::agent {

// The message is "<code name>: <message>", so that a client sees the stable name of docs/errors.md.
grpc::Status to_status(const Error& error);
// What a peer answered, as an error of ours: kUnavailable for a lost connection, and so on.
Error from_status(const grpc::Status& status);

}  // namespace skerry::agent
