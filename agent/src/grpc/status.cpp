#include "status.hpp"

#include <string>

namespace skerry::agent {

grpc::Status to_status(const Error& error) {
  using Code = Error::Code;
  using grpc::StatusCode;
  const auto code = [&error] {
    switch (error.code()) {
      case Code::kInvalidArgument:
      case Code::kParse:
      case Code::kContextTooLong:
      case Code::kPolicyInvalid:
      case Code::kManifestInvalid:
      case Code::kModelFormat:
      case Code::kTooLarge:
        return StatusCode::INVALID_ARGUMENT;
      case Code::kNotFound:
        return StatusCode::NOT_FOUND;
      case Code::kAlreadyExists:
        return StatusCode::ALREADY_EXISTS;
      case Code::kPermissionDenied:
        return StatusCode::PERMISSION_DENIED;
      case Code::kUnauthenticated:
        return StatusCode::UNAUTHENTICATED;
      case Code::kCancelled:
        return StatusCode::CANCELLED;
      case Code::kDeadlineExceeded:
        return StatusCode::DEADLINE_EXCEEDED;
      case Code::kUnimplemented:
        return StatusCode::UNIMPLEMENTED;
      case Code::kQueueFull:
      case Code::kResourceExhausted:
      case Code::kQuotaExceeded:
      case Code::kNoSpace:
        return StatusCode::RESOURCE_EXHAUSTED;
      case Code::kUnavailable:
      case Code::kWorkerLost:
        return StatusCode::UNAVAILABLE;
      case Code::kFailedPrecondition:
      case Code::kOutOfMemory:
      case Code::kWorkerSetup:
      case Code::kPluginInvalid:
      case Code::kModelLoad:
      case Code::kQuarantined:
      case Code::kRollback:
      case Code::kNoFittingVariant:
      case Code::kGateFailed:
      case Code::kNotEnrolled:
      case Code::kProtocolMismatch:
        return StatusCode::FAILED_PRECONDITION;
      case Code::kAuditCorrupt:
      case Code::kDigestMismatch:
      case Code::kSizeMismatch:
        return StatusCode::DATA_LOSS;
      default:
        return StatusCode::INTERNAL;
    }
  }();
  return grpc::Status{code, error.to_string()};
}

Error from_status(const grpc::Status& status) {
  using Code = Error::Code;
  using grpc::StatusCode;
  const auto code = [&status] {
    // The controller sends the name of its own code along.
    for (const Code one : all_error_codes()) {
      if (status.error_details() == to_string(one)) {
        return one;
      }
    }
    switch (status.error_code()) {
      case StatusCode::INVALID_ARGUMENT:
        return Code::kInvalidArgument;
      case StatusCode::NOT_FOUND:
        return Code::kNotFound;
      case StatusCode::ALREADY_EXISTS:
        return Code::kAlreadyExists;
      case StatusCode::PERMISSION_DENIED:
        return Code::kPermissionDenied;
      case StatusCode::UNAUTHENTICATED:
        return Code::kUnauthenticated;
      case StatusCode::CANCELLED:
        return Code::kCancelled;
      case StatusCode::DEADLINE_EXCEEDED:
        return Code::kDeadlineExceeded;
      case StatusCode::UNIMPLEMENTED:
        return Code::kUnimplemented;
      case StatusCode::RESOURCE_EXHAUSTED:
        return Code::kResourceExhausted;
      case StatusCode::FAILED_PRECONDITION:
        return Code::kFailedPrecondition;
      case StatusCode::UNAVAILABLE:
        return Code::kUnavailable;
      default:
        return Code::kInternal;
    }
  }();
  return Error{code, status.error_message()};
}

}  // namespace skerry::agent
