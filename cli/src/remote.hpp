#pragma once

// Talking gRPC to the daemon and the controller: channels with clear failures, statuses as `Error`.
// Only the files that make calls include it (admin.cpp, fleet.cpp, run, infer, models).

#include <chrono>
#include <memory>
#include <string>

#include <grpcpp/grpcpp.h>

#include "skerry/common/result.hpp"

namespace skerry::cli {

// A channel to a Unix socket; kUnavailable says what to check when nobody listens there.
Result<std::shared_ptr<grpc::Channel>> connect_socket(const std::string& path);

// `status` must not be OK. The daemons put the error's stable name before the message
// ("permission_denied: …"); where it is missing, the code is derived from the status code.
Error to_error(const grpc::Status& status, const std::string& peer);

// Sets the deadline of a unary call.
void set_deadline(grpc::ClientContext& context, std::chrono::seconds timeout);

}  // namespace skerry::cli
