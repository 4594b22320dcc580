#pragma once

// Talking gRPC to the daemon and the controller: channels with clear failures, statuses as `Error`,
// messages as JSON. Used by every command that is not purely local.

#include <chrono>
#include <memory>
#include <string>

#include <google/protobuf/message.h>
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

// Field names as in the .proto, defaults printed.
std::string to_json(const google::protobuf::Message& message);

}  // namespace skerry::cli
