#pragma once

// Talking gRPC to the daemon and the controller: channels with clear failures, statuses as `Error`.
// Only the files that make calls include it (admin.cpp, fleet.cpp, run, infer, models).

#include <chrono>
#include <memory>
#include <optional>
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

// One unary call to the daemon at the Unix socket `path`, e.g.
// `call_socket(path, &admin::AdminService::Stub::GetStatus, request)`.
template <class Stub, class Request, class Response>
Result<Response> call_socket(const std::string& path,
                             grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                          const Request&,
                                                          Response*),
                             const Request& request,
                             std::chrono::seconds timeout = std::chrono::seconds{30}) {
  auto channel = connect_socket(path);
  if (!channel) {
    return channel.error();
  }
  Stub stub{*channel};
  grpc::ClientContext context;
  set_deadline(context, timeout);
  Response response;
  const grpc::Status status = (stub.*method)(&context, request, &response);
  if (!status.ok()) {
    return to_error(status, path);
  }
  return response;
}

// One call whose answer is a stream: `take` gets each message and ends the call by an error, which
// is then the answer. Without a timeout the stream may last for ever.
template <class Stub, class Request, class Message, class Take>
Result<void> read_socket(const std::string& path,
                         std::unique_ptr<grpc::ClientReader<Message>> (Stub::*method)(
                             grpc::ClientContext*, const Request&),
                         const Request& request,
                         const Take& take,
                         std::optional<std::chrono::seconds> timeout = std::nullopt) {
  auto channel = connect_socket(path);
  if (!channel) {
    return channel.error();
  }
  Stub stub{*channel};
  grpc::ClientContext context;
  if (timeout) {
    set_deadline(context, *timeout);
  }
  const auto reader = (stub.*method)(&context, request);
  Message message;
  Result<void> taken;
  while (taken && reader->Read(&message)) {
    taken = take(message);
  }
  if (!taken) {
    context.TryCancel();
  }
  const grpc::Status status = reader->Finish();
  if (taken && !status.ok()) {
    return to_error(status, path);
  }
  return taken;
}

}  // namespace skerry::cli
