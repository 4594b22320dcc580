#include "status.hpp"

namespace skerry::controller {
namespace {

grpc::StatusCode code_of(Error::Code code) {
  using Code = Error::Code;
  switch (code) {
    case Code::kInvalidArgument:
    case Code::kParse:
    case Code::kManifestInvalid:
    case Code::kPolicyInvalid:
    case Code::kCertificateInvalid:
    case Code::kKeyInvalid:
    case Code::kSizeMismatch:
    case Code::kModelFormat:
      return grpc::StatusCode::INVALID_ARGUMENT;
    case Code::kNotFound:
      return grpc::StatusCode::NOT_FOUND;
    case Code::kAlreadyExists:
      return grpc::StatusCode::ALREADY_EXISTS;
    case Code::kUnavailable:
      return grpc::StatusCode::UNAVAILABLE;
    case Code::kCancelled:
      return grpc::StatusCode::CANCELLED;
    case Code::kDeadlineExceeded:
      return grpc::StatusCode::DEADLINE_EXCEEDED;
    case Code::kNoSpace:
    case Code::kResourceExhausted:
    case Code::kTooLarge:
    case Code::kQuotaExceeded:
      return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case Code::kUnimplemented:
      return grpc::StatusCode::UNIMPLEMENTED;
    case Code::kFailedPrecondition:
    case Code::kProtocolMismatch:
    case Code::kSignatureInvalid:
    case Code::kThresholdNotMet:
    case Code::kMetadataExpired:
    case Code::kMetadataMismatch:
    case Code::kRollback:
    case Code::kNotEnrolled:
      return grpc::StatusCode::FAILED_PRECONDITION;
    case Code::kPermissionDenied:
    case Code::kEnrolmentRefused:
      return grpc::StatusCode::PERMISSION_DENIED;
    case Code::kUnauthenticated:
      return grpc::StatusCode::UNAUTHENTICATED;
    case Code::kDigestMismatch:
    case Code::kAuditCorrupt:
      return grpc::StatusCode::DATA_LOSS;
    default:
      return grpc::StatusCode::INTERNAL;
  }
}

}  // namespace

grpc::Status to_status(const Error& error) {
  return {code_of(error.code()), error.message(), std::string{to_string(error.code())}};
}

}  // namespace skerry::controller
