#pragma once

// One call on the administration socket: connect, deadline, call, error. Used by the commands for
// this gateway.

#include <chrono>

#include "skerry/admin/v1/admin.grpc.pb.h"

#include "invocation.hpp"
#include "remote.hpp"

namespace skerry::cli {

namespace admin = ::skerry::admin::v1;

// Calls `method` of the stub, for example `&admin::AdminService::Stub::GetStatus`.
template <class Request, class Response>
Result<Response> call_admin(Invocation& invocation,
                            grpc::Status (admin::AdminService::Stub::*method)(grpc::ClientContext*,
                                                                              const Request&,
                                                                              Response*),
                            const Request& request,
                            std::chrono::seconds timeout = std::chrono::seconds{30}) {
  auto channel = connect_socket(invocation.admin_socket);
  if (!channel) {
    return channel.error();
  }
  const auto stub = admin::AdminService::NewStub(*channel);
  grpc::ClientContext context;
  set_deadline(context, timeout);
  Response response;
  const grpc::Status status = (stub.get()->*method)(&context, request, &response);
  if (!status.ok()) {
    return to_error(status, invocation.admin_socket);
  }
  return response;
}

// "acme/log-triage 1.2.0 q4_k_m"; "-" for none.
std::string model_text(const ::skerry::models::v1::Model& model);

}  // namespace skerry::cli
