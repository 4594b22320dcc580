#include "skerry/cli/remote_error.hpp"

#include <optional>

namespace skerry::cli {
namespace {

std::optional<Error::Code> named_code(std::string_view name) {
  for (const Error::Code code : all_error_codes()) {
    if (to_string(code) == name) {
      return code;
    }
  }
  return std::nullopt;
}

// The numbers of grpc::StatusCode, which are fixed by the protocol.
Error::Code code_of(int grpc_code) {
  switch (grpc_code) {
    case 1:
      return Error::Code::kCancelled;
    case 3:
    case 11:
      return Error::Code::kInvalidArgument;
    case 4:
      return Error::Code::kDeadlineExceeded;
    case 5:
      return Error::Code::kNotFound;
    case 6:
      return Error::Code::kAlreadyExists;
    case 7:
      return Error::Code::kPermissionDenied;
    case 8:
      return Error::Code::kResourceExhausted;
    case 9:
    case 10:
      return Error::Code::kFailedPrecondition;
    case 12:
      return Error::Code::kUnimplemented;
    case 14:
      return Error::Code::kUnavailable;
    case 16:
      return Error::Code::kUnauthenticated;
    default:
      return Error::Code::kInternal;
  }
}

}  // namespace

Error remote_error(int grpc_code, std::string_view message, std::string_view peer) {
  const std::size_t colon = message.find(": ");
  if (colon != std::string_view::npos) {
    if (const auto code = named_code(message.substr(0, colon))) {
      return {*code, std::string{message.substr(colon + 2)}};
    }
  }
  Error error{code_of(grpc_code), std::string{message}};
  constexpr int kUnavailable = 14;
  return grpc_code == kUnavailable ? error.with_context(peer) : error;
}

}  // namespace skerry::cli
